"""The run file's bits are the bytes that MPI moved, and compressed broadcasts leave every rank with the same model."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import h5py
import pytest
import yaml
from test_same_bits import assert_same_bits, config, contents

SCRIPT = str(Path(__file__).with_name("bytes_script.py"))

DOWNLINKS = {
    "dense": [],
    "top_k_of_float16": [{"kind": "top_k", "fraction": 0.1}, {"kind": "cast", "dtype": "float16"}],
    "rand_k": [{"kind": "rand_k", "fraction": 0.2}],
}
UPLINK = [{"kind": "ef21_sgdm", "beta": 0.5}, {"kind": "top_k", "fraction": 0.05}, {"kind": "qsgd", "bucket": 32}]


@pytest.mark.parametrize("name", DOWNLINKS)
def test_bits_are_bytes_and_models_are_one(mpirun, tmp_path, name):
    raw = config(UPLINK, downlink=DOWNLINKS[name], evaluate={"every": 0}, wire={"checksum": True})
    (tmp_path / "bits.yaml").write_text(yaml.safe_dump(raw))
    done = mpirun(4, [sys.executable, SCRIPT, str(tmp_path / "bits.yaml"), str(tmp_path / "bits.h5")], module=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(re.search(r"TOLD (\{.*\})", done.stdout)[1])  # some mpirun decorate lines
    with h5py.File(tmp_path / "bits.h5", "r") as file:
        dimension = file["final/x"].size
        assert file["metrics/uplink_bits"][()].sum() == 8 * told["received"]
        assert file["metrics/downlink_bits"][()].sum() == 8 * told["sent"]
        assert (told["sent"] < 6 * 4 * dimension / 2) == bool(raw["downlink"])
    assert (told["ranks"], told["models"], told["same"]) == (4, 6 if raw["downlink"] else 0, True)


def test_compression_both_ways_gives_the_same_bits_on_any_number_of_ranks(mpirun, tmp_path):
    (tmp_path / "bits.yaml").write_text(yaml.safe_dump(config(UPLINK, downlink=DOWNLINKS["rand_k"])))
    files = []
    for ranks in (1, 4):
        files.append(tmp_path / f"{ranks}.h5")
        done = mpirun(ranks, ["run", str(tmp_path / "bits.yaml"), "-o", str(files[-1])])
        assert done.returncode == 0, done.stderr
    assert_same_bits(*map(contents, files))
