"""What a job says and does when a rank fails: one message, no rank left hanging, an exit status that tells why."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from pmom_mpi.transport.base import SERVER, Interrupted, WorkerFailed
from pmom_mpi.words.errors import UserError

T = TypeVar("T")

EXIT_CODES = {"finished": 0, "failed": 1, "diverged": 3}
USER_ERROR = 2


def agree(group: Any, make: Callable[[], T]) -> T:
    """What ``make`` returns, once it has succeeded on every rank; otherwise the job ends with the first failure."""
    value, failure, mine = None, None, None
    try:
        value = make()
    except Exception as error:
        mine, failure = error, (text_of(error), isinstance(error, UserError))
    found = [(rank, told) for rank, told in enumerate(group.gather(failure)) if told is not None]
    if not found:
        return value  # type: ignore[return-value]
    if group.size == 1:
        raise mine  # type: ignore[misc]
    rank, (text, is_user_error) = found[0]
    if group.rank == SERVER:
        print(_line(rank, group.hosts[rank], text, is_user_error), file=sys.stderr, flush=True)
    raise SystemExit(USER_ERROR if is_user_error else EXIT_CODES["failed"])


def give_up(group: Any, failure: BaseException, code: int) -> None:
    """End a job whose iterations have begun. One process simply raises; a job says why once and ends every rank."""
    if group.size == 1:
        if isinstance(failure, Interrupted):
            return
        raise failure
    if isinstance(failure, WorkerFailed):
        text = _line(failure.rank, failure.host, str(failure), failure.is_user_error)
    elif isinstance(failure, Interrupted):
        text = f"pmom: {failure}; the run file is complete up to here"
    else:
        text = _line(SERVER, group.hosts[SERVER], text_of(failure), isinstance(failure, UserError))
    print(text, file=sys.stderr, flush=True)
    group.abort(code)


def text_of(error: BaseException) -> str:
    """A user's error is its line; anything else is a defect and shows where it happened."""
    if isinstance(error, (UserError, Interrupted, WorkerFailed)):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()


def _line(rank: int, host: str, text: str, is_user_error: bool) -> str:
    if is_user_error:
        return f"pmom: error: {text}" if rank == SERVER else f"pmom: error: {text} (rank {rank} on {host})"
    return f"pmom: rank {rank} on {host} failed:\n{text}"
