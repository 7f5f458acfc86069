"""Arrays of HDF5 files, and the ways in which the library would give zeros for what is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pmom_mpi.words.errors import UserError
from pmom_mpi.words.hdf5 import open_to_read


def read_array(path: Path, name: str, item: Any) -> np.ndarray:
    """The numbers of a data set; MATLAB's, which lie transposed in its files, the way MATLAB shows them.

    Raises
    ------
    UserError
        When it is a group, was never written, is a virtual data set whose source is gone, or is compressed by a filter
        that is not installed.
    """
    if not isinstance(item, h5py.Dataset):
        inside = ", ".join(list(item)[:3]) or "nothing"
        raise UserError(
            f"{path}: cannot read: {name} is a group (it holds {inside}), not an array; write it with "
            f"file['{name}'] = array, not with pandas' to_hdf"
        )
    if item.is_virtual:
        _check_sources(path, name, item)
    elif item.size and item.id.get_space_status() == h5py.h5d.SPACE_STATUS_NOT_ALLOCATED:
        raise UserError(f"{path}: {name} {item.shape} was created but never written")
    try:
        array = np.asarray(item[()])
    except OSError:
        _check_filters(path, name, item)
        raise
    return array.T if "MATLAB_class" in item.attrs else array


def _check_sources(path: Path, name: str, item: h5py.Dataset) -> None:
    """Where a source is missing or smaller than it was, the library reads fill values without a word."""
    mapped = 0
    for source in item.virtual_sources():
        mapped += source.vspace.get_select_npoints()
        folders = [os.environ.get("HDF5_VDS_PREFIX", ""), str(path.parent), ""]
        files = [path] if source.file_name == "." else [Path(folder, source.file_name) for folder in folders]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise UserError(f"{path}: {name} is a virtual data set, and its source {source.file_name} is not there")
        with open_to_read(found) as file:
            there = file.get(source.dset_name)
            end = source.src_space.get_select_bounds()[1] if source.src_space.get_select_npoints() else ()
            if not isinstance(there, h5py.Dataset) or any(
                last >= size for last, size in zip(end, there.shape, strict=False)
            ):
                raise UserError(
                    f"{path}: {name} is a virtual data set, and {source.dset_name} of its source {source.file_name} is "
                    "missing or too small"
                )
    if mapped < item.size:
        raise UserError(f"{path}: {name} is a virtual data set of which {item.size - mapped:,} numbers have no source")


def _check_filters(path: Path, name: str, item: h5py.Dataset) -> None:
    """Name the filter that is missing, where one is."""
    settings = item.id.get_create_plist()
    for place in range(settings.get_nfilters()):
        code, _, _, label = settings.get_filter(place)
        if not h5py.h5z.filter_avail(code):
            title = label.decode("utf-8", "replace").split("\0")[0].split(";")[0] or "without a name"
            raise UserError(
                f"{path}: {name} is compressed with the HDF5 filter {code} ({title}), which is not installed here; "
                "'pip install hdf5plugin' and set HDF5_PLUGIN_PATH to its folder of plugins, or write it with gzip"
            )
