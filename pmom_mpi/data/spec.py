"""The config's ``data`` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from pmom_mpi.data.dataset import Channels
from pmom_mpi.data.partition import Partition
from pmom_mpi.words import registry

PARTITIONS = {
    "contiguous": "pmom_mpi.data.partition:Contiguous",
    "iid": "pmom_mpi.data.partition:Iid",
    "label": "pmom_mpi.data.partition:Label",
    "dirichlet": "pmom_mpi.data.partition:Dirichlet",
}


@dataclass(frozen=True)
class DataSpec:
    """Which data, divided among how many nodes, and how.

    Parameters
    ----------
    name : str
        A name that `pmom data list` knows, or a path: a folder of IDX files, an .npz, HDF5 or svmlight file.
    nodes : int
        n.
    partition : str or mapping
        ``contiguous``, ``iid``, ``{kind: label, classes: 2}``, ``{kind: dirichlet, a: 0.5}``.
    limit : int, optional
        Use the first so many training samples only.
    test : str, optional
        A path of the same format that holds the test set, or ``none`` for no test set; unless given, the test set is
        looked for in or beside the training set's file.
    channels : {"first", "last"}, optional
        Where images have their channels: (channels, height, width) or (height, width, channels).
    """

    name: Annotated[str, Field(min_length=1)]
    nodes: Annotated[int, Field(ge=1)]
    partition: Any = "contiguous"
    limit: Annotated[int, Field(ge=1)] | None = None
    test: Annotated[str, Field(min_length=1)] | None = None
    channels: Channels | None = None

    @property
    def division(self) -> Partition:
        """The partition's object; raises `UserError` when the section describes none."""
        return registry.build(PARTITIONS, "data.partition", self.partition)
