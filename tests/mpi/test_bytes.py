"""The run file's bits are the bytes that MPI moved, and compressed broadcasts leave every rank with the same model."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import h5py
import pytest
import yaml
from test_same_bits import UPLINK, config

SCRIPT = str(Path(__file__).with_name("bytes_script.py"))

DOWNLINKS = {
    "dense": [],
    "top_k_of_float16": [{"kind": "top_k", "fraction": 0.1}, {"kind": "cast", "dtype": "float16"}],
    "rand_k": [{"kind": "rand_k", "fraction": 0.2}],
}
CONFIGS = {
    name: config(UPLINK, downlink=downlink, evaluate={"every": 0}, wire={"checksum": True})
    for name, downlink in DOWNLINKS.items()
}


@pytest.fixture(scope="module")
def counted(mpirun, tmp_path_factory):
    """The folder of the run files, and what was counted of each, by its name."""
    folder = tmp_path_factory.mktemp("bytes")
    for name, raw in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(raw))
    done = mpirun(4, [sys.executable, SCRIPT, *(str(folder / f"{name}.yaml") for name in CONFIGS)], module=False)
    assert done.returncode == 0, done.stderr
    found = map(json.loads, re.findall(r"TOLD (\{.*\})", done.stdout))  # some mpirun decorate lines
    return folder, dict(zip(CONFIGS, found, strict=True))


@pytest.mark.parametrize("name", CONFIGS)
def test_bits_are_bytes_and_models_are_one(counted, name):
    folder, raw, told = counted[0], CONFIGS[name], counted[1][name]
    with h5py.File(folder / f"{name}.h5", "r") as file:
        dimension = file["final/x"].size
        assert file["metrics/uplink_bits"][()].sum() == 8 * told["received"]
        assert file["metrics/downlink_bits"][()].sum() == 8 * told["sent"]
        assert (told["sent"] < 6 * 4 * dimension / 2) == bool(raw["downlink"])
    assert (told["ranks"], told["models"], told["same"]) == (4, 6 if raw["downlink"] else 0, True)
