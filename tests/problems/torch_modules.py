"""Modules that tests name in ``problem.model``."""

import torch
from torch import nn


def normed(momentum=0.1, dropout=0.0):
    """Two batch norms, one of them without weights, and a frozen layer."""
    frozen = nn.Linear(7, 7)
    frozen.requires_grad_(False)
    return nn.Sequential(
        frozen, nn.Linear(7, 6, bias=False), nn.BatchNorm1d(6, momentum=momentum), nn.Tanh(), nn.Dropout(dropout),
        nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False, momentum=0.3), nn.Linear(5, 4),
    )  # fmt: skip


def frozen():
    return nn.Linear(7, 4).requires_grad_(False)


def nothing():
    return 7


def shift(inputs, random):
    return inputs + float(random.standard_normal())


def fourth_power(outputs, targets):
    return torch.mean((outputs.sum(dim=1) - targets) ** 4)


def plain(dropout=0.0, norm=None):
    """A perceptron; with dropout of its input, or a batch norm that keeps no statistics."""
    middle = [nn.BatchNorm1d(6, track_running_stats=False)] if norm else []
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(7, 6), *middle, nn.Tanh(), nn.Linear(6, 4))
