"""The one kind of error that a user can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user wrote or chose cannot be used.

    The message is one line that names the file or key, the value and what would be right. Commands print it
    without a traceback and exit with status 2. Line breaks in what it quotes are written as backslash n.
    """

    def __init__(self, message: str) -> None:
        super().__init__("\\n".join(message.splitlines()))


@contextmanager
def blame(place: str) -> Iterator[None]:
    """Put ``place`` (a file, a key) in front of the line of any `UserError` raised inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
