"""A line of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass

from pmom_mpi.words.errors import UserError

GOOD, NOTE, BAD = "good", "note", "bad"


@dataclass(frozen=True)
class Row:
    """What was found of one thing.

    Attributes
    ----------
    what : str
    state : {"good", "note", "bad"}
        note: runs work, but something is worth knowing; bad: runs, or some of them, will not work.
    finding : str
    remedy : str
        Empty where there is nothing to do.
    """

    what: str
    state: str
    finding: str
    remedy: str = ""


def from_error(what: str, error: UserError, state: str = BAD) -> Row:
    """The row of an error, whose line says the remedy after its last semicolon.

    Examples
    --------
    >>> from_error("launcher", UserError("mpirun: none found; load a module"))
    Row(what='launcher', state='bad', finding='mpirun: none found', remedy='load a module')
    """
    finding, semicolon, remedy = str(error).rpartition("; ")
    return Row(what, state, finding if semicolon else remedy, remedy if semicolon else "")
