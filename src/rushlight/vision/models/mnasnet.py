"""MnasNet.  Source: Tan et al. 2019.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

from typing import Any

from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network

# The paper's momentum, on the scale of this library.
_MOMENTUM = 1 - 0.9997


class _InvertedResidual(nn.Module):
    def __init__(self, inp: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inp * expansion
        self.apply_residual = inp == out and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(inp, hidden, 1, bias=False), nn.BatchNorm2d(hidden, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
            nn.Conv2d(
                hidden, hidden, kernel, padding=kernel // 2, stride=stride, groups=hidden,
                bias=False,
            ),
            nn.BatchNorm2d(hidden, momentum=_MOMENTUM), nn.ReLU(inplace=True),
            nn.Conv2d(hidden, out, 1, bias=False), nn.BatchNorm2d(out, momentum=_MOMENTUM),
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        return self.layers(input) + input if self.apply_residual else self.layers(input)


def _stack(
    inp: int, out: int, kernel: int, stride: int, expansion: int, repeats: int
) -> nn.Sequential:
    first = _InvertedResidual(inp, out, kernel, stride, expansion)
    rest = [_InvertedResidual(out, out, kernel, 1, expansion) for _ in range(1, repeats)]
    return nn.Sequential(first, *rest)


def _multiple_of_8(value: float) -> int:
    found = max(8, int(value + 4) // 8 * 8)
    return found if found >= 0.9 * value else found + 8


class MNASNet(nn.Module):
    """MNASNet-B1; `alpha` scales the widths."""

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        w = [_multiple_of_8(width * alpha) for width in (32, 16, 24, 40, 80, 96, 192, 320)]

        def norm(width: int) -> nn.BatchNorm2d:
            return nn.BatchNorm2d(width, momentum=_MOMENTUM)

        self.layers = nn.Sequential(
            nn.Conv2d(3, w[0], 3, padding=1, stride=2, bias=False), norm(w[0]),
            nn.ReLU(inplace=True),
            nn.Conv2d(w[0], w[0], 3, padding=1, stride=1, groups=w[0], bias=False), norm(w[0]),
            nn.ReLU(inplace=True),
            nn.Conv2d(w[0], w[1], 1, padding=0, stride=1, bias=False), norm(w[1]),
            _stack(w[1], w[2], 3, 2, 3, 3), _stack(w[2], w[3], 5, 2, 3, 3),
            _stack(w[3], w[4], 5, 2, 6, 3), _stack(w[4], w[5], 3, 1, 6, 2),
            _stack(w[5], w[6], 5, 2, 6, 4), _stack(w[6], w[7], 3, 1, 6, 1),
            nn.Conv2d(w[7], 1280, 1, padding=0, stride=1, bias=False), norm(1280),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                init.ones_(module.weight)
                init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="sigmoid")
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.layers(x).mean([2, 3]))


def _mnasnet(alpha: float, **kwargs: Any) -> MNASNet:
    return MNASNet(alpha, **kwargs)


mnasnet0_5 = network("mnasnet0_5", _mnasnet, alpha=0.5)
mnasnet0_75 = network("mnasnet0_75", _mnasnet, alpha=0.75)
mnasnet1_0 = network("mnasnet1_0", _mnasnet, alpha=1.0)
mnasnet1_3 = network("mnasnet1_3", _mnasnet, alpha=1.3)
