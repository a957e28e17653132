"""Before a program on PyTorch: torchvision's own library may need CUDA's, and then lacks its
operators, of which its import names two."""

import torch

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

try:
    import torchvision  # noqa: F401
except RuntimeError:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        LIBRARY.define(operator)
