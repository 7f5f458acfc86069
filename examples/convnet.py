"""A PyTorch model of one's own: all there is to write is a function that makes the module.

pmom check-problem examples/convnet.yaml
pmom launch -n 3 examples/convnet.yaml
"""

from torch import nn


def make_model(width: int = 8) -> nn.Module:
    """Images (m, 1, 8, 8) to logits (m, 10); ``problem.arguments`` sets the width."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(2 * width * 16, 10),
    )
