"""``pmom check-operator``: whether operators keep the promises of `pmom_mpi.bias.base`, found out by applying them."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.bias.base import DOWNLINK, UPLINK, Feedback, Stage
from pmom_mpi.bias.compose import theory_of
from pmom_mpi.bias.order import kind_of
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.check.conduct import decoding, determinism, memory, poison, purity
from pmom_mpi.check.finding import BAD, GOOD, Finding
from pmom_mpi.check.promises import promises
from pmom_mpi.check.returns import once, returns
from pmom_mpi.check.trial import DTYPES, Broken, Trial
from pmom_mpi.config import places
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.source import Source
from pmom_mpi.transport.one_process import OneProcess
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

BEHIND = TopK(fraction=0.5)
"""What stands behind error feedback that is examined alone."""
SIDES = (8, 64, 256)
"""Models of these sizes are tried, the smallest first: a key may ask for more coordinates than a model has."""


def check(target: str | Path, overrides: Iterable[str] = ()) -> list[Finding]:
    """Examine a kind, or every stage of a config's bias and downlink, each alone and together.

    Parameters
    ----------
    target : str or path
        A kind (``top_k``, ``my_module:MyClass``), whose keys are the overrides, on a small model; or a config, on its
        own problem's tensors.
    overrides : iterable of str

    Raises
    ------
    UserError
        When the kind or config cannot be used at all.
    """
    name = str(target)
    one = name in registry.BIAS or (":" in name and not Path(name).exists())
    known = one or name in places.ready() or Path(name).exists() or "." in name or "/" in name
    if not known:
        near = difflib.get_close_matches(name, registry.BIAS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "pmom explain lists the kinds, pmom configs the ready configs"
        raise UserError(f"{name}: neither a kind nor a config; {hint}")
    findings: list[Finding] = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for place, trial in _of_kind(name, overrides) if one else _of_config(target, overrides):
            found = _examined(trial)
            findings += [finding._replace(what=f"{place}{finding.what}") for finding in found]
    return findings


def _examined(trial: Trial) -> list[Finding]:
    findings = [_title(trial)]
    alone = len(trial.stages) == 1 or trial.stages[1:] == (BEHIND,)
    for look in (*((returns, once) if alone else ()), purity, determinism, decoding, memory, promises, poison):
        try:
            findings.extend(look(trial))
        except UserError:
            raise
        except Exception as error:
            text = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            findings.append(Finding(look.__name__, BAD, text))
        if look is returns and any(finding.state == BAD for finding in findings):
            break  # nothing that is built on these answers can be trusted
    return findings


def _title(trial: Trial) -> Finding:
    """What is examined, on what."""
    stages = trial.pipeline(DTYPES[0]).stages
    words = " -> ".join(map(kind_of, stages))
    try:
        theory = theory_of(stages, trial.layout)
        says = f"; theory: {' '.join(filter(None, (theory.family, theory.known())))}"
    except Exception:  # said by `returns`
        says = ""
    return Finding("operator", GOOD, f"{words} on d = {trial.layout.dimension:,}{says}")


def _of_kind(kind: str, overrides: Iterable[str]) -> Iterator[tuple[str, Trial]]:
    configs.allow_modules([str(Path.cwd())])
    stage = registry.build(registry.BIAS, kind, configs.amend({"kind": kind}, overrides))
    stages = (stage, BEHIND) if isinstance(stage, Feedback) else (stage,)
    for side in SIDES:
        shapes = ((side, side - 2), (side,), (4, 3, 3), (1,))
        trial = Trial(stages, Layout(("weight", "bias", "filters", "scalar"), shapes), UPLINK)
        try:
            trial.pipeline(DTYPES[0])
        except UserError as error:
            refused = str(error).removeprefix(f"{UPLINK}[0]")
        else:
            yield "", trial
            return
    raise UserError(f"{kind}{refused}")


def _of_config(config: str | Path, overrides: Iterable[str]) -> Iterator[tuple[str, Trial]]:
    setting = Setting.make(OneProcess(), Source.read(config, overrides), range(1))
    layout, down = setting.problem.layout, setting.config.downlink
    pipelines = [(UPLINK, setting.pipeline.stages)]
    if down:
        pipelines.append((DOWNLINK, Pipeline(down, layout, DTYPES[0], 0, DOWNLINK).stages))
    for where, stages in pipelines:
        for place, stage in enumerate(stages):
            yield f"{where}[{place}] ", Trial(_alone(stage), layout, where)
        if len(stages) > 1:
            yield f"{where} ", Trial(stages, layout, where)


def _alone(stage: Stage) -> tuple[Stage, ...]:
    return (stage, BEHIND) if isinstance(stage, Feedback) else (stage,)
