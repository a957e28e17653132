"""The feature pyramid, and pooling of regions from its levels.

In: a dict of features (N, C, H, W), finest first.  Out: features of one width for each level, or
regions of a fixed size.  Sources: Lin et al. 2017.  Level 14.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.ops.boxes import box_area
from rushlight.vision.ops.layers import Conv2dNormActivation
from rushlight.vision.ops.roi import roi_align


class ExtraFPNBlock(nn.Module):
    """Base of what adds levels."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        raise NotImplementedError


class FeaturePyramidNetwork(nn.Module):
    """Features of all levels at one width, coarse ones added to finer ones."""

    def __init__(
        self, in_channels_list: list[int], out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner_blocks = nn.ModuleList()
        self.layer_blocks = nn.ModuleList()
        for in_channels in in_channels_list:
            if in_channels == 0:
                raise ValueError("in_channels=0 is currently not supported")
            options = {"padding": 0, "norm_layer": norm_layer, "activation_layer": None}
            self.inner_blocks.append(
                Conv2dNormActivation(in_channels, out_channels, kernel_size=1, **options)  # type: ignore[arg-type]
            )
            self.layer_blocks.append(
                Conv2dNormActivation(
                    out_channels,
                    out_channels,
                    kernel_size=3,
                    norm_layer=norm_layer,
                    activation_layer=None,
                )
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    init.constant_(module.bias, 0)
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        version = (local_metadata or {}).get("version", None)
        if version is None or version < 2:
            # Older files have no block around each convolution.
            for block in ("inner_blocks", "layer_blocks"):
                for i in range(len(getattr(self, block))):
                    for kind in ("weight", "bias"):
                        old, new = f"{prefix}{block}.{i}.{kind}", f"{prefix}{block}.{i}.0.{kind}"
                        if old in state_dict:
                            state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    _version = 2

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        names, features = list(x.keys()), list(x.values())
        last = self.inner_blocks[-1](features[-1])
        results = [self.layer_blocks[-1](last)]
        for i in range(len(features) - 2, -1, -1):
            lateral = self.inner_blocks[i](features[i])
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            results.insert(0, self.layer_blocks[i](last))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, features, names)
        return OrderedDict(zip(names, results))


class LastLevelMaxPool(ExtraFPNBlock):
    """One more level: every second pixel of the coarsest."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        return [*results, F.max_pool2d(results[-1], 1, 2, 0)], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two more levels by convolution.  Source: Lin et al. 2017 (RetinaNet)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for module in (self.p6, self.p7):
            init.kaiming_uniform_(module.weight, a=1)
            init.constant_(module.bias, 0)
        self.use_P5 = in_channels == out_channels

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        p6 = self.p6(results[-1] if self.use_P5 else x[-1])
        return [*results, p6, self.p7(F.relu(p6))], [*names, "p6", "p7"]


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` that takes each box from the level that fits its size."""

    def __init__(
        self, featmap_names: list[str], output_size: Any, sampling_ratio: int, *,
        canonical_scale: int = 224, canonical_level: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.featmap_names = featmap_names
        self.sampling_ratio = sampling_ratio
        self.output_size = (
            (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        )
        self.scales: list[float] | None = None
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        features = [value for name, value in x.items() if name in self.featmap_names]
        scales = self._scales(features, image_shapes)
        numbers = [rl.full((len(b), 1), i, dtype=b.dtype) for i, b in enumerate(boxes)]
        rows = rl.cat([rl.cat(numbers, 0), rl.cat(boxes, 0)], 1)
        if len(features) == 1:
            return roi_align(features[0], rows, self.output_size, scales[0], self.sampling_ratio)
        levels = self._levels(boxes, scales).numpy()
        result = features[0].new_zeros((len(rows), features[0].shape[1], *self.output_size))
        for level, (feature, scale) in enumerate(zip(features, scales)):
            which = rl.from_numpy((levels == level).nonzero()[0])
            pooled = roi_align(feature, rows[which], self.output_size, scale, self.sampling_ratio)
            result[which] = pooled.to(result.dtype)
        return result

    def _scales(self, features: list[Tensor], image_shapes: list[tuple[int, int]]) -> list[float]:
        height = max(shape[0] for shape in image_shapes)
        scales = [2 ** round(math.log2(float(f.shape[-2]) / float(height))) for f in features]
        self.scales = [float(scale) for scale in scales]
        return self.scales

    def _levels(self, boxes: list[Tensor], scales: list[float]) -> Tensor:
        low, high = -math.log2(scales[0]), -math.log2(scales[-1])
        side = rl.sqrt(rl.cat([box_area(b) for b in boxes]))
        level = rl.floor(self.canonical_level + rl.log2(side / self.canonical_scale) + 1e-6)
        return (rl.clamp(level, min=low, max=high).to(rl.int64) - int(low)).to(rl.int64)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(featmap_names={self.featmap_names},"
            f" output_size={self.output_size}, sampling_ratio={self.sampling_ratio})"
        )
