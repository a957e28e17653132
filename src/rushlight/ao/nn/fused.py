"""Layers one after the other that quantization takes as one.  Level: ao (14)."""

from __future__ import annotations

from typing import ClassVar

from rushlight import nn


class FusedModule(nn.Sequential):
    """Layers in a row; `_kinds` says which."""

    _kinds: ClassVar[tuple[type, ...]] = ()

    def __init__(self, *layers: nn.Module) -> None:
        given = ", ".join(type(layer).__name__ for layer in layers)
        if [type(layer) for layer in layers] != list(self._kinds):
            wanted = ", ".join(kind.__name__ for kind in self._kinds)
            raise AssertionError(f"Incorrect types for input modules: {given}; expected {wanted}")
        super().__init__(*layers)


class ConvReLU1d(FusedModule):
    """Conv1d and ReLU."""

    _kinds = (nn.Conv1d, nn.ReLU)


class ConvReLU2d(FusedModule):
    """Conv2d and ReLU."""

    _kinds = (nn.Conv2d, nn.ReLU)


class ConvReLU3d(FusedModule):
    """Conv3d and ReLU."""

    _kinds = (nn.Conv3d, nn.ReLU)


class LinearReLU(FusedModule):
    """Linear and ReLU."""

    _kinds = (nn.Linear, nn.ReLU)


class ConvBn1d(FusedModule):
    """Conv1d and BatchNorm1d."""

    _kinds = (nn.Conv1d, nn.BatchNorm1d)


class ConvBn2d(FusedModule):
    """Conv2d and BatchNorm2d."""

    _kinds = (nn.Conv2d, nn.BatchNorm2d)


class ConvBnReLU1d(FusedModule):
    """Conv1d, BatchNorm1d and ReLU."""

    _kinds = (nn.Conv1d, nn.BatchNorm1d, nn.ReLU)


class ConvBnReLU2d(FusedModule):
    """Conv2d, BatchNorm2d and ReLU."""

    _kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)


class BNReLU2d(FusedModule):
    """BatchNorm2d and ReLU."""

    _kinds = (nn.BatchNorm2d, nn.ReLU)


class LinearBn1d(FusedModule):
    """Linear and BatchNorm1d."""

    _kinds = (nn.Linear, nn.BatchNorm1d)
