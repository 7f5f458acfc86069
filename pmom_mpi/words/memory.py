"""What is remembered between iterations."""

from __future__ import annotations

import numpy as np

Memory = dict[str, np.ndarray]
"""What must be remembered of a node, a momentum rule or a downlink, by name; all of it is saved with a run.

It exists, complete, from its owner's ``init`` on: names, shapes and types never change, only the numbers do.
"""
