"""Run files of format 1, which say neither what should rise nor what a data set is about: told by names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import h5py
import numpy as np

from pmom_mpi.words.report import Metric, Role

_NUMBER = re.compile(r"dimension|ranks|link_bytes_per_second|dense_bytes|dense_seconds|(data|problem)_.*")
_FIRST = ("train_loss", "test_accuracy", "train_suboptimality", "test_return", "test_accuracy_after_1")
"""What people looked at first; with it, the loss after one step of adaptation."""


def metric(dataset: h5py.Dataset) -> Metric:
    """What a data set of /metrics is."""
    name = dataset.name.rpartition("/")[2]
    unit = str(dataset.attrs["unit"])
    role = _role(name, unit)
    rises = None
    if role in ("train", "test") or name == "gradient_norm":
        rises = "accuracy" in name or "return" in name
    headline = name in _FIRST[1:] or name == "test_loss_after_1"
    return Metric(name, str(dataset.attrs["description"]), unit, rises, str(dataset.dtype), headline, role)


def _role(name: str, unit: str) -> Role:
    if name == "iteration":
        return ""
    if name.startswith("train_"):
        return "train"
    if name.startswith("test_"):
        return "test"
    if name == "gradient_norm":
        return "step"
    return "time" if unit == "s" else "bits" if unit == "bit" else "statistic"


def order(names: list[str]) -> list[str]:
    """As format 2 has it: HDF5 gave these by their alphabet, but the iteration and the loss come first."""
    return sorted(names, key=lambda name: (name != "iteration", name != "train_loss"))


def facts(provenance: Mapping[str, str], nodes: int) -> dict[str, int | float | np.ndarray]:
    """The numbers among what is text in /provenance."""
    found: dict[str, int | float | np.ndarray] = {
        name: int(text) if text.isdigit() else float(text)
        for name, text in provenance.items()
        if _NUMBER.fullmatch(name)
    }
    hosted = provenance.get("nodes_per_worker", "")
    return found | {"nodes": nodes, "nodes_per_worker": np.array([int(part) for part in hosted.split(", ") if part])}
