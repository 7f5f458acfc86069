"""What a check found: a row of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

GOOD, NOTE, BAD = "ok", "note", "bad"
STYLES = {GOOD: "green", NOTE: "yellow", BAD: "bold red"}


class Finding(NamedTuple):
    """What was looked at, how it is, and in one sentence what was found."""

    what: str
    state: str
    text: str


def verdict(what: str, fine: bool, text: str, remedy: str) -> Finding:
    """``text`` says what was found; ``remedy`` what would be right, told only when it is not fine."""
    return Finding(what, GOOD, text) if fine else Finding(what, BAD, f"{text}: {remedy}")


def render(findings: list[Finding]) -> Table:
    """What `pmom check-problem` prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "state", "finding")
    for finding in findings:
        table.add_row(finding.what, Text(finding.state, STYLES[finding.state]), Text(finding.text))
    return table
