"""Layers in a row made one, before they are quantized.  Level: ao (14)."""

from __future__ import annotations

import copy
from typing import Any

from rushlight import nn
from rushlight.ao.nn import fused
from rushlight.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

_PAIRS: dict[tuple[type, ...], Any] = {
    (nn.Conv1d, nn.ReLU): fused.ConvReLU1d, (nn.Conv2d, nn.ReLU): fused.ConvReLU2d,
    (nn.Conv3d, nn.ReLU): fused.ConvReLU3d, (nn.Linear, nn.ReLU): fused.LinearReLU,
    (nn.BatchNorm2d, nn.ReLU): fused.BNReLU2d,
}  # fmt: skip
_NORMS = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d, nn.Conv3d: nn.BatchNorm3d,
          nn.Linear: nn.BatchNorm1d}  # fmt: skip


def fuse_known_modules(mod_list: list[Any], is_qat: bool = False, **options: Any) -> list[Any]:
    """The layers as one in the first place, and identities in the others.

    Raises: NotImplementedError for other rows of layers; AssertionError for layers in training.
    """
    layers = list(mod_list)
    kinds = tuple(type(layer) for layer in layers)
    first = layers[0]
    if _NORMS.get(kinds[0]) is not None and kinds[1:2] == (_NORMS[kinds[0]],):
        if is_qat:
            raise NotImplementedError(
                "fuse_modules: quantization-aware training isn't here; fuse in evaluation"
            )
        if first.training or layers[1].training:
            raise AssertionError(
                "Conv and BN must be in evaluation to be fused; call model.eval() before"
            )
        join = fuse_linear_bn_eval if kinds[0] is nn.Linear else fuse_conv_bn_eval
        layers[:2] = [join(first, layers[1])]
        kinds = (kinds[0], *kinds[2:])
    if len(layers) == 1:
        made = layers[0]
    elif kinds in _PAIRS:
        made = _PAIRS[kinds](*layers)
    else:
        raise NotImplementedError(
            f"Cannot fuse modules: {', '.join(type(m).__name__ for m in mod_list)}; known are "
            "Conv, Linear or BatchNorm2d, a BatchNorm behind the first two, and ReLU at the end"
        )
    for hook in list(first._forward_pre_hooks.values()):
        made.register_forward_pre_hook(hook)
    first._forward_pre_hooks.clear()
    for hook in list(mod_list[-1]._forward_hooks.values()):
        made.register_forward_hook(hook)
    made.train(first.training)
    return [made, *[_silent(first.training) for _ in mod_list[1:]]]


def _silent(training: bool) -> nn.Module:
    made = nn.Identity()
    made.training = training
    return made


def fuse_modules(
    model: nn.Module,
    modules_to_fuse: Any,
    inplace: bool = False,
    fuser_func: Any = fuse_known_modules,
    fuse_custom_config_dict: dict | None = None,
) -> nn.Module:
    """The model with rows of layers made one: convolution or linear layer, batch norm, ReLU.

    modules_to_fuse: a list of names in order, or several such lists.
    Raises: NotImplementedError for other rows.  Source: torch.ao.quantization.fuse_modules.
    """
    if fuse_custom_config_dict:
        raise NotImplementedError("fuse_modules: fuse_custom_config_dict; pass a fuser_func")
    if not inplace:
        model = copy.deepcopy(model)
    rows = modules_to_fuse if all(isinstance(r, list) for r in modules_to_fuse) else [
        modules_to_fuse
    ]  # fmt: skip
    for names in rows:
        made = fuser_func([model.get_submodule(name) for name in names])
        for name, module in zip(names, made):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, module)
    return model
