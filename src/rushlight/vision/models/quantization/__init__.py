"""The networks that torchvision also has in integers, here in floating point.

In: (N, 3, H, W).  `quantize=True` is an error: there are no kernels of integers yet.  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.vision.models._api import BUILDERS, ENUMS, register_model

_PREFIX = "quantized_"


def _of(name: str) -> Callable[..., Any]:
    full = _PREFIX + name
    float_enum = ENUMS[name]

    def build(
        *, weights: Any = None, progress: bool = True, quantize: bool = False, **kwargs: Any
    ) -> Any:
        if quantize:
            raise NotImplementedError(
                f"{full}: kernels of 8-bit integers are not there yet; quantize=False gives the"
                " network in floating point"
            )
        return BUILDERS[name](weights=float_enum.verify(weights), progress=progress, **kwargs)

    build.__name__ = build.__qualname__ = name
    build.__module__ = __name__ + "." + name
    build.__doc__ = f"The network {name}, ready for integers; `weights` of its floating twin."
    build.weights_enum = ENUMS[full]  # type: ignore[attr-defined]
    return register_model(full)(build)


googlenet = _of("googlenet")
inception_v3 = _of("inception_v3")
mobilenet_v2 = _of("mobilenet_v2")
mobilenet_v3_large = _of("mobilenet_v3_large")
resnet18 = _of("resnet18")
resnet50 = _of("resnet50")
resnext101_32x8d = _of("resnext101_32x8d")
resnext101_64x4d = _of("resnext101_64x4d")
shufflenet_v2_x0_5 = _of("shufflenet_v2_x0_5")
shufflenet_v2_x1_0 = _of("shufflenet_v2_x1_0")
shufflenet_v2_x1_5 = _of("shufflenet_v2_x1_5")
shufflenet_v2_x2_0 = _of("shufflenet_v2_x2_0")
