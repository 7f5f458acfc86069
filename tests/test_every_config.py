"""Every command that makes a problem of a config does so with every config there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pmom_mpi.cli import main
from pmom_mpi.data.library import list_datasets

ROOT = Path(__file__).parents[1]
SWEEPS = ROOT / "configs/sweeps"
CONFIGS = sorted(
    path for path in [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("examples/*.yaml")] if path.parent != SWEEPS
)
COMMANDS = {
    "validate": [],
    "bias": ["--nodes", "1", "--repeats", "3"],
    "check-problem": ["-s", "bias=[]", "-s", "downlink=[]"],
}
SMALL = ["-s", "problem.hidden=[8]"]
"""Instead of the networks of these folders."""


def available(config: Path) -> bool:
    """Whether the config's data set and libraries are here."""
    text = config.read_text()
    here = {entry.name for entry in list_datasets() if entry.where is not None}
    names = {"mnist", "fashion-mnist"} - here
    return not any(f"name: {name}," in text or f"name: {name}\n" in text or f"name: {name}}}" in text for name in names)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("command", COMMANDS)
def test_it_works(command, config, mnist, monkeypatch):
    monkeypatch.chdir(ROOT)
    if "kind: torch" in config.read_text():
        pytest.importorskip("torch")
    if not available(config):
        pytest.skip("needs a data set that is not here")
    if "resnet" in config.name and command != "validate":
        pytest.skip("takes minutes")
    small = (
        SMALL
        if command == "check-problem" and (config.parent.name in ("paper", "compare") or config.stem == "operators")
        else []
    )
    done = CliRunner().invoke(main, [command, str(config), *COMMANDS[command], *small])
    assert done.exit_code == 0, done.output


def test_validate_solves_and_looks_at_the_place_of_the_run_file(tmp_path):
    def said(*overrides):
        words = [word for override in overrides for word in ("-s", override)]
        return CliRunner().invoke(main, ["validate", str(ROOT / "configs/problems/logistic.yaml"), *words])

    done = said("problem.l2=1e-30")
    assert done.exit_code == 2 and "too ill-conditioned" in done.output
    done = said("output=/proc/no/such.h5")
    assert done.exit_code == 2 and "/proc/no/such.h5" in done.output
    place = tmp_path / "new" / "folder" / "run.h5"
    assert said(f"output={place}").exit_code == 0
    assert not (tmp_path / "new").exists(), "validate leaves nothing behind"
