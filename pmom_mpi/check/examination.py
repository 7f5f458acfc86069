"""``pmom check-problem``: whether a problem keeps the promises of `pmom_mpi.problems.base`, found out by asking it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pmom_mpi.check.answers import determinism, gradient, single_precision, start
from pmom_mpi.check.derivatives import derivatives
from pmom_mpi.check.evaluation import evaluation
from pmom_mpi.check.finding import BAD, Finding
from pmom_mpi.check.subject import Subject
from pmom_mpi.runtime.source import Source
from pmom_mpi.words.errors import UserError


def check(config: str | Path, overrides: Iterable[str] = ()) -> list[Finding]:
    """Examine a config's problem on its first nodes, in one process.

    Raises
    ------
    UserError
        When the config cannot be used at all.
    """
    subject = Subject(Source.read(config, overrides))
    findings: list[Finding] = []
    for look in (start, gradient, determinism, derivatives, evaluation, single_precision):
        try:
            findings.extend(look(subject))
        except UserError:
            raise
        except Exception as error:
            findings.append(Finding(look.__name__, BAD, f"{type(error).__name__}: {error}"))
    return findings
