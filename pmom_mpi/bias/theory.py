"""What theory knows of an operator: its class and its constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Theory:
    """What an operator Q promises of every vector g.

    Attributes
    ----------
    family : str
        ``contractive``: E|Q(g) - g|^2 <= (1 - alpha) |g|^2 with 0 < alpha <= 1; ``unbiased``: E Q(g) = g and
        E|Q(g) - g|^2 <= omega |g|^2; ``transform``: changes what is sent on purpose; ``composition``: of several
        stages, the bound of ``contractive`` with an alpha that may be negative; ``other``: none of these.
    alpha, omega : float or None
        The constant; None where it is not known.
    factor : float or None
        c, where Q(g) is c g.

    Examples
    --------
    >>> contractive(0.1).contracts, unbiased(8.0).contracts, unbiased(0.125).contracts, OTHER.contracts
    (True, False, True, None)
    """

    family: Literal["contractive", "unbiased", "transform", "composition", "other"]
    alpha: float | None = None
    omega: float | None = None
    factor: float | None = None

    @property
    def contracts(self) -> bool | None:
        """Whether E|Q(g) - g|^2 < |g|^2, which error feedback needs; None where that is not known."""
        if self.family == "contractive":
            return True
        if self.omega is not None:
            return self.omega < 1
        return None if self.alpha is None else self.alpha > 0

    def known(self) -> str:
        """The constant as it is shown: ``alpha 0.01``, or nothing where there is no good one."""
        for name, value in (("alpha", self.alpha), ("omega", self.omega)):
            if value is not None and value > 0:
                return f"{name} 1 - {1 - value:.2g}" if 0.999 < value < 1 else f"{name} {value:.4g}"
        return ""


def contractive(alpha: float | None = None) -> Theory:
    """The theory of a contraction."""
    return Theory("contractive", alpha=alpha)


def unbiased(omega: float) -> Theory:
    """The theory of an unbiased operator."""
    return Theory("unbiased", omega=omega)


def scaling(factor: float) -> Theory:
    """The theory of c g: |c g - g|^2 = (1 - c)^2 |g|^2."""
    alpha = factor * (2 - factor)
    return Theory("contractive" if alpha > 0 else "transform", alpha if alpha > 0 else None, factor=factor)


TRANSFORM = Theory("transform")
OTHER = Theory("other")
