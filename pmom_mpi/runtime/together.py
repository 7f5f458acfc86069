"""What a job says and does when a rank fails: one message, no rank left hanging, an exit status that tells why."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pmom_mpi.transport.base import SERVER, Ranks, RanksLost, WorkerFailed
from pmom_mpi.transport.patience import DeadlinePassed
from pmom_mpi.transport.signals import Interrupted
from pmom_mpi.words.errors import UserError

T = TypeVar("T")

EXIT_CODES = {"finished": 0, "failed": 1, "diverged": 3}
USER_ERROR, DEADLINE = 2, 4


class Agreed(SystemExit):
    """All ranks leave together, and rank 0 has said why."""


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """Whatever leaves this block on any rank ends the whole job, within seconds and with one message.

    One process simply raises. In a job the server says why and ends every rank; a worker tells the server, and says and
    ends it all itself where the server does not (it may wait in a collective call for this very rank).
    """
    alone = ranks.size == 1
    try:
        yield
    except Agreed as end:
        ranks.close(int(end.code or 0))
        raise
    except BaseException as error:
        if alone:
            raise
        if not ranks.serves and not isinstance(error, RanksLost):
            ranks.tell_failure(text_of(error), isinstance(error, UserError))
        print(_line(ranks, error), file=sys.stderr, flush=True)
        ranks.abort(exit_code(error))


def agree(ranks: Ranks, make: Callable[[], T]) -> T:
    """What ``make`` returns, once it has succeeded on every rank; otherwise the job ends with the first failure."""
    value, failure, mine = None, None, None
    try:
        value = make()
    except Exception as error:
        mine, failure = error, (text_of(error), isinstance(error, UserError))
    found = [(rank, told) for rank, told in enumerate(ranks.gather(failure)) if told is not None]
    if not found:
        return value  # type: ignore[return-value]
    if ranks.size == 1:
        raise mine  # type: ignore[misc]
    rank, (text, is_user_error) = found[0]
    if ranks.serves:
        print(_told(rank, ranks.hosts[rank], text, is_user_error), file=sys.stderr, flush=True)
    raise Agreed(USER_ERROR if is_user_error else EXIT_CODES["failed"])


def from_server(ranks: Ranks, make: Callable[[], T]) -> T:
    """What ``make`` returns on the server, on every rank; or the job ends with its failure."""
    return ranks.share(agree(ranks, lambda: make() if ranks.serves else None))


def exit_code(error: BaseException) -> int:
    """The exit status of a job that ends with this."""
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return 128 + (error.signal if isinstance(error, Interrupted) else 2)
    if isinstance(error, DeadlinePassed):
        return DEADLINE
    is_user_error = isinstance(error, UserError) or (isinstance(error, WorkerFailed) and error.is_user_error)
    return USER_ERROR if is_user_error else EXIT_CODES["failed"]


def text_of(error: BaseException) -> str:
    """A user's error is its line; anything else is a defect and shows where it happened, save for want of memory."""
    if isinstance(error, (UserError, Interrupted, WorkerFailed, DeadlinePassed)):
        return str(error)
    if isinstance(error, MemoryError):
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/numpy/" not in frame.filename]
        place = "".join(f" ({frame.filename}:{frame.lineno}, in {frame.name})" for frame in frames[-1:])
        return f"out of memory{': ' if error.args else ''}{error}{place}"
    return "".join(traceback.format_exception(error)).rstrip()


def _line(ranks: Ranks, error: BaseException) -> str:
    """What this rank says of what it raised, or of what a worker told it."""
    if isinstance(error, WorkerFailed):
        return _told(error.rank, error.host, str(error), error.is_user_error)
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return f"pmom: {error or 'interrupted'}; the run file holds every recorded iteration"
    if isinstance(error, DeadlinePassed):
        return f"pmom: {error}; the job is given up"
    if isinstance(error, RanksLost):
        return f"pmom: error: {error} was lost while the job was starting; start it again"
    return _told(ranks.rank, ranks.hosts[ranks.rank], text_of(error), isinstance(error, UserError))


def _told(rank: int, host: str, text: str, is_user_error: bool) -> str:
    if is_user_error:
        return f"pmom: error: {text}" if rank == SERVER else f"pmom: error: {text} (rank {rank} on {host})"
    separator = "\n" if "\n" in text else " "
    return f"pmom: rank {rank} on {host} failed:{separator}{text}"
