"""A problem of one's own with nothing but numpy: where is the source that sensors hear?

Node i is a sensor array at a place of its own; array j of its m microphones at a_ij measures the distance r_ij to a
source, with noise. f_i(x) = 1/(4 m) sum_j (|x - a_ij|^2 - r_ij^2)^2 over x in R^3 is smooth and not convex.

    pmom check-problem examples/localization.yaml
    pmom launch -n 3 examples/localization.yaml
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from pmom_mpi.problems.base import Context
from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator

SOURCE = np.array([0.5, -1.0, 2.0])


@dataclass
class Localization:
    """The fields are the keys of the config's ``problem`` section; annotations say what is valid."""

    microphones: Annotated[int, Field(ge=1)] = 20
    noise: Annotated[float, Field(ge=0)] = 0.05

    # What gradient returns and what evaluate sums, logged as train_loss and test_distance; no annotation: no keys.
    metrics = (LOSS,)
    evaluation = (Metric("distance", "2-norm of x less the source", "m", rises=False, headline=True),)

    def setup(self, context: Context) -> None:
        """Once a rank: make the data of the nodes hosted here, and only of those."""
        self.dtype = context.dtype
        self.layout = Layout(("position",), ((3,),))
        self.chunks = 1
        self.arrays = {node: self._listen(context.seed, node) for node in context.hosted}

    def initial_point(self) -> np.ndarray:
        """x^0, a new array each time: the server changes it."""
        return np.ones(3, self.dtype)

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        """Write the gradient of f_node at x into ``out``, return f_node(x)."""
        places, squares = self.arrays[node]
        away = x - places
        error = (away * away).sum(axis=1) - squares
        np.matmul(error / len(error), away, out=out)
        return (float(np.mean(error * error)) / 4,)

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums and last their weight: here a single value, how far x is from the source."""
        return float(np.linalg.norm(x - SOURCE)), 1.0

    def _listen(self, seed: int, node: int) -> tuple[np.ndarray, np.ndarray]:
        """The node's microphones and what they measure, drawn from its own stream: the same on whichever rank."""
        random = generator(seed, Stream.DATA, node)
        places = random.standard_normal(3) + random.standard_normal((self.microphones, 3))
        distances = np.linalg.norm(places - SOURCE, axis=1) + self.noise * random.standard_normal(self.microphones)
        return places.astype(self.dtype), np.square(distances).astype(self.dtype)
