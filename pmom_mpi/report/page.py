"""A web page of runs: one file that asks the network for nothing, and lets nothing of a run file be a script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pmom_mpi import __version__
from pmom_mpi.analysis import read, show
from pmom_mpi.analysis.curves import curves
from pmom_mpi.analysis.read import Run
from pmom_mpi.report import parts
from pmom_mpi.report.series import AXES, lines, quantities
from pmom_mpi.report.stations import bars, of_groups, stations_of
from pmom_mpi.report.theory import panels
from pmom_mpi.words.errors import UserError

FOLDER = files("pmom_mpi.report")

SHOWN = 4
"""Charts that a page begins with."""


def page(runs: Sequence[Run], unreadable: Sequence[str] = ()) -> str:
    """The whole page.

    Parameters
    ----------
    runs : sequence of Run
        One, or many: then those that differ in their seed only are one curve with a band.
    unreadable : sequence of str
        What was to be read besides and could not be, a line each.

    Raises
    ------
    UserError
        When no run has an iteration yet.
    """
    begun = [run for run in runs if run.iterations]
    if not begun:
        raise UserError("nothing to report: none of these runs has an iteration yet")
    found = curves(begun)
    shown = quantities(found)
    drawn, theory = lines(found, [one["name"] for one in shown]), panels(begun)
    single = begun[0] if len(begun) == 1 else None
    times = bars(single) if single else of_groups(found)
    return _render(
        title=parts.title(runs), states=parts.states(runs), tiles=parts.tiles(begun), warned=parts.warned(runs),
        unreadable=unreadable, lines=drawn, shown=shown[:SHOWN], bars=times, stations=stations_of(times),
        skipped=any(run.iterations > 1 for run in begun),
        results=parts.results(found), varying=parts.varying(begun), settings=parts.settings(begun),
        traffic=show.traffic_table(single) if single else None, theory=theory, events=parts.happened(begun),
        provenance=parts.provenance(begun), version=__version__,
        data=_script({
            "axes": AXES, "quantities": shown, "lines": drawn, "theory": [panel.lines for panel in theory],
        }),
    )  # fmt: skip


def readable(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """The runs of files, and a line for each of several that cannot be read; of a single one the `UserError`."""
    runs, lines = [], []
    for path in paths:
        try:
            runs.append(read.load(path))
        except UserError as error:
            if len(paths) == 1:
                raise
            lines.append(str(error))
    return runs, lines


def write(text: str, output: str | Path) -> Path:
    """Put a page into a file, which ends in .html where nothing else is said; raises `UserError` where that fails."""
    path = Path(output)
    path = path if path.suffix else path.with_name(f"{path.name}.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"-o {output}: cannot write the page: {error.strerror}") from None
    return path


def _render(**told: Any) -> str:
    """The template with our style and scripts in it; the browser is told to run no others, and to load nothing."""

    def text(name: str) -> str:
        return FOLDER.joinpath(name).read_text(encoding="utf-8").strip()

    scripts = [f"/*! uPlot: {text('vendor/LICENSE')} */\n{text('vendor/uPlot.iife.min.js')}", text("page.js")]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    policy = " ".join(f"'sha256-{digest}'" for digest in hashes)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text("page.html.j2")).render(
        scripts=list(map(Markup, scripts)), policy=Markup(policy),
        style=Markup(text("vendor/uPlot.min.css") + text("page.css")), **told,
    )  # fmt: skip


def _script(data: object) -> Markup:
    """JSON that may stand in a script element: no ``<`` is left in it, whatever a file holds."""
    told = json.dumps(data, separators=(",", ":"))
    return Markup(told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
