"""Where a run lies: in a file of its own, or under a name in a packed file, ``FILE::NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SEPARATOR = "::"


@dataclass(frozen=True)
class Address:
    """Where a run lies.

    Attributes
    ----------
    file : Path
        An HDF5 file.
    name : str
        Of the run in a packed file; empty: the file is the run's own.

    Examples
    --------
    >>> str(Address.parse("all.h5::tune/top10-seed0"))
    'all.h5::tune/top10-seed0'
    >>> Address.parse("all.h5::tune/top10-seed0").stem, Address.parse("results/dense-0.h5").stem
    ('top10-seed0', 'dense-0')
    """

    file: Path
    name: str = ""

    @classmethod
    def parse(cls, text: str | Path) -> Address:
        """A path as it is, also one that has the separator in its name, where there is such a file."""
        file, separator, name = str(text).rpartition(SEPARATOR)
        if not separator or not file or Path(text).exists():
            return cls(Path(text))
        return cls(Path(file), name)

    def __str__(self) -> str:
        return f"{self.file}{SEPARATOR}{self.name}" if self.name else str(self.file)

    @property
    def path(self) -> Path:
        """As a path, which only `pmom_mpi.record.reading.opened` can open where the run is packed."""
        return Path(str(self))

    @property
    def stem(self) -> str:
        """What stands for the run in tables and pictures."""
        return self.name.rpartition("/")[2] if self.name else self.file.stem
