"""How long the server waits for its workers: who lags is named, and in the end the job is given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from statistics import median
from time import perf_counter

LAGS, LEAST_SECONDS, LEAST_ITERATIONS = 10, 1.0, 5
"""An iteration lags after so many times the median one, but not below these seconds, nor among the first iterations."""

REMEMBERED = 101
"""The median is over so many iterations, the last ones."""


class DeadlinePassed(Exception):
    """Workers have not answered in time; the message names them.

    Attributes
    ----------
    missing : tuple of int
        Their ranks; empty where it is not known who they are.
    """

    def __init__(self, message: str, missing: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class Patience:
    """Asked inside the waits of an iteration whether to wait on.

    Parameters
    ----------
    hosts : sequence of str
        Of every rank.
    deadline : float
        Seconds since an iteration's broadcast after which the job is given up; 0: never.
    tell : callable
        Takes an iteration that lags, once each: k, a line, the rank (-1: not known) and its host.
    """

    def __init__(self, hosts: Sequence[str], deadline: float, tell: Callable[[int, str, int, str], None]) -> None:
        self._hosts = hosts
        self._deadline = deadline
        self._tell = tell
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._began: float | None = None
        self._iteration = 0
        self._told = False

    def begin(self, iteration: int) -> None:
        """An iteration begins with its broadcast."""
        now = perf_counter()
        if self._began is not None:
            self._seconds.append(now - self._began)
        self._began, self._iteration, self._told = now, iteration, False

    def check(self, missing: Collection[int]) -> None:
        """Inside a wait for these ranks (empty: it is not known whom for).

        Raises
        ------
        DeadlinePassed
        """
        waited = perf_counter() - (self._began or perf_counter())
        if self._deadline and waited >= self._deadline:
            reason = f"transport.deadline is {self._deadline:g} s"
            words = f"iteration {self._iteration}: {self._who(missing)} for {waited:.3g} s ({reason})"
            raise DeadlinePassed(words, tuple(missing))
        if self._told or waited < LEAST_SECONDS or len(self._seconds) < LEAST_ITERATIONS:
            return
        usual = median(self._seconds)
        if waited >= LAGS * usual:
            self._told = True
            first = min(missing, default=-1)
            words = f"{self._who(missing)} for {waited:.3g} s, where an iteration takes {usual:.2g} s"
            self._tell(self._iteration, words, first, self._hosts[first] if missing else "")

    def _who(self, missing: Collection[int]) -> str:
        """The ranks and what they have not done."""
        if not missing:
            return "the broadcast has not reached every rank"
        named = ", ".join(f"rank {rank} on {self._hosts[rank]}" for rank in sorted(missing))
        return f"{named} {'has' if len(missing) == 1 else 'have'} not answered"
