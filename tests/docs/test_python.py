"""The pages and the notebook that show Python are executed as they are written, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def executed(source: str, folder: Path) -> str:
    """What a new Python prints in this folder."""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=300,
        env=os.environ | {"MPLBACKEND": "agg"},
    )  # fmt: skip
    assert done.returncode == 0, f"{source}\n{done.stderr}"
    return done.stdout


def code_of_a_page(path: Path) -> str:
    """Its indented blocks, one after the other."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line.strip()))


def cells(path: Path) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_page_of_the_api(tmp_path):
    said = executed(code_of_a_page(ROOT / "docs" / "api.md"), tmp_path)
    assert said.startswith("finished results/api.h5 (8970,)")
    assert "megabytes up" in said and "momentum.beta: should be less than or equal to 1, not 2" in said


def test_the_page_of_analysis(tmp_path):
    pytest.importorskip("xarray", reason="the extra [analysis] is not installed")
    pytest.importorskip("pyarrow", reason="the extra [analysis] is not installed")
    said = executed(code_of_a_page(ROOT / "docs" / "analysis.md"), tmp_path).splitlines()
    assert said[0] == "{'momentum.beta': [0.1, 1], 'seed': [0, 1]}" and said[1] == "beta = 0.1 2 runs, 0 diverged"
    assert said[-1].endswith("bit") and "'momentum.beta': 2" in said[-1] and "'iteration': 40" in said[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"results", "look.csv", "look.parquet", "logs", "look.pdf"}
    assert len(list((tmp_path / "logs").iterdir())) == 4


def test_the_notebook(tmp_path):
    said = executed("\n".join(cells(ROOT / "examples" / "quickstart.ipynb")), tmp_path)
    assert "finished 200" in said and "less than or equal to 1" in said
    assert {path.name for path in (tmp_path / "results").iterdir()} >= {"top10.h5", "top0.01-beta1.h5"}


def test_the_notebook_is_kept_without_outputs():
    notebook = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")


@pytest.mark.parametrize(
    "override, words", [("momentum.beta", "write key=value"), ("bias.3.k=1", "no position in a list of 1")]
)
def test_errors_speak_of_overrides_not_of_flags(override, words):
    import pmom_mpi

    with pytest.raises(pmom_mpi.UserError, match=words) as caught:
        pmom_mpi.run("quickstart", [override])
    assert str(caught.value).startswith(f"override '{override}'")
