"""Step sizes over the iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field


class Schedule(Protocol):
    """gamma^k, the step size of iteration k."""

    def __call__(self, iteration: int, total: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """gamma^k = value."""

    value: Annotated[float, Field(gt=0)]

    def __call__(self, iteration: int, total: int) -> float:
        return self.value
