"""Where modules of one's own that were written for the first layout look for `UserError`."""

from pmom_mpi.words.errors import UserError

__all__ = ["UserError"]
