"""Modules as people write them, for test_torch_paths.py; the data has 6 features."""

import torch
from torch import nn


def plain():
    return nn.Linear(6, 2)


def one_output():
    return nn.Linear(6, 1)


def one_output_flat():
    return nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))


def three_outputs():
    return nn.Linear(6, 3)


def batch_norm():
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def lazy():
    return nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))


def eager():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


def embedding():
    """Tokens are indices, but inputs are real numbers."""
    return nn.Sequential(nn.Embedding(10, 3), nn.Flatten(), nn.Linear(18, 2))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 3), nn.Linear(18, 2)

    def forward(self, inputs):
        return self.head(self.embed(inputs.long()).flatten(1))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, inputs):
        inputs.mul_(2)
        return self.head(inputs)


class OutOfPlace(InPlace):
    def forward(self, inputs):
        return self.head(inputs * 2)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, inputs):
        outputs = self.head(inputs)
        return outputs, outputs.square().mean()


def pair_loss(outputs, targets):
    return nn.functional.cross_entropy(outputs[0], targets) + outputs[1]


def sum_loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="sum")


def each_loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def mean_loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def stubborn():
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 2)

        def forward(self, inputs):
            return self.head(inputs)

    return Stubborn()


def counting():
    """Counts its calls in a buffer: a rehearsal must not."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 2)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, inputs):
            self.calls += 1
            return self.head(inputs)

    return Counting()
