"""How Sphinx builds these pages: `make docs`.

The pages read as well in a file browser as on the site, so none holds a directive: what stands where is said once, by
the tables of `README.md`, whose sections become the site's.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from sphinx.application import Sphinx

from pmom_mpi import __version__

REFERENCE = Path(__file__).parent / "reference"
ROOMS = {
    "words": "what every room speaks of",
    "bias": "the operators",
    "wire": "messages as bytes",
    "problems": "objectives and their gradients",
    "data": "data sets and partitions",
    "method": "server, workers, momentum, step sizes",
    "transport": "ranks, over MPI or in one process",
    "theory": "bounds and certificates",
    "record": "run files and checkpoints",
    "config": "what YAML becomes",
    "runtime": "one run on these ranks",
    "analysis": "run files, read",
    "campaign": "many runs",
    "check": "promises, one by one",
    "measure": "operators on real gradients",
}
"""The rooms of docs/design.md whose docstrings make the reference, each with what it is about."""

project = "pmom_mpi"
author = "the pmom_mpi authors"
release = version = __version__

root_doc = "README"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_links_external_new_tab = True
suppress_warnings = ["myst.header", "ref.python"]  # levels of headings; names that two classes share

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_mock_imports = ["torch", "mpi4py"]
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "code"  # docstrings write names between single backticks

html_theme = "furo"
html_title = f"pmom_mpi {release}"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # they are fetched, which browsers forbid pages that are opened from a disk
html_static_path = ["static"]
html_css_files = ["site.css"]


def contents(text: str) -> str:
    """The text of README.md with a table of contents, which Sphinx needs, behind each section's table of pages."""
    sections = re.split(r"(?m)^(?=## )", text)
    with_trees = sections[:1]
    for section in sections[1:]:
        title = section.splitlines()[0].removeprefix("## ").split(":")[0]
        pages = [name.removesuffix(".md") for name in re.findall(r"\]\(([\w/-]+\.md)\)", section)]
        tree = "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])
        with_trees.append(f"{section}\n{tree}\n" if pages else section)
    return "".join(with_trees)


def write_reference() -> None:
    """A page a room, made of the docstrings of its modules."""
    REFERENCE.mkdir(exist_ok=True)
    for room, subject in ROOMS.items():
        package = import_module(f"pmom_mpi.{room}")
        modules = sorted(module.name for module in walk_packages(package.__path__, f"{package.__name__}."))
        page = [f"# {room}: {subject}", *automodule(package.__name__)]
        for name in modules:
            page += [f"## {name.removeprefix('pmom_mpi.')}", *automodule(name, ":members:")]
        (REFERENCE / f"{room}.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


def automodule(name: str, *options: str) -> list[str]:
    return ["\n".join(["```{eval-rst}", f".. automodule:: {name}", *(f"   {option}" for option in options), "```"])]


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] = contents(source[0]) + "\n".join(
            ["```{toctree}", ":hidden:", ":caption: Reference", "", *(f"reference/{room}" for room in ROOMS), "```", ""]
        )


def keep_bars(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """A bar is one of a norm in docstrings, and no substitution."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def send_on(app: Sphinx, error: Exception | None) -> None:
    """index.html, which browsers and servers ask for, leads to the first page."""
    if error is None:
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    write_reference()
    app.connect("build-finished", send_on)
    app.connect("autodoc-process-docstring", keep_bars)
    app.connect("source-read", add_contents)
