"""ResNet-18 as torchvision defines and initialises it, without torchvision.

He, Zhang, Ren, Sun (2016), "Deep residual learning for image recognition". Parameters, their order and their initial
values for a seed are those of ``torchvision.models.resnet18(num_classes=classes)``, which tests check where it is
installed.
"""

from __future__ import annotations

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the block changes the shape."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        # torchvision makes the shortcut first but registers it last: both matter, for the draws and for their order.
        shortcut = None
        if stride != 1 or channels != out:
            shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = shortcut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        values = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(inputs)))))
        return torch.relu(values + (inputs if self.downsample is None else self.downsample(inputs)))


class ResNet18(nn.Module):
    """Images (m, 1 or 3, height, width) to logits (m, classes); a grey image is its own red, green and blue."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        values = self.maxpool(torch.relu(self.bn1(self.conv1(inputs.expand(-1, 3, -1, -1)))))
        values = self.layer4(self.layer3(self.layer2(self.layer1(values))))
        return self.fc(values.mean(dim=(2, 3)))


def resnet18(classes: int = 10) -> ResNet18:
    """11,181,642 parameters with 10 classes.

    Examples
    --------
    >>> sum(tensor.numel() for tensor in resnet18().parameters())
    11181642
    """
    return ResNet18(classes)
