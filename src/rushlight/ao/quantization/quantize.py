"""Quantized modules in the place of others.  Level: ao (14)."""

from __future__ import annotations

import copy
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.quantization.qconfig import (
    QConfig,
    default_dynamic_qconfig,
    float16_dynamic_qconfig,
)
from rushlight.ao.quantization.quantization_mappings import (
    get_default_dynamic_quant_module_mappings,
)
from rushlight.base.dtypes import DType

_KINDS = (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.RNNCell, nn.GRUCell)


def quantize_dynamic(
    model: nn.Module,
    qconfig_spec: Any = None,
    dtype: DType = rl.qint8,
    mapping: dict[type, Any] | None = None,
    inplace: bool = False,
) -> nn.Module:
    """The model with its linear and recurrent layers replaced by ones whose weights have 8 bits.

    Activations are quantized as they come, so no data is needed beforehand; see
    `torch.ao.nn.quantized.dynamic`.  qconfig_spec: classes and names of modules to replace, a set,
    or a dict that gives each a QConfig.  dtype: `qint8` or `float16`.  mapping: what takes the
    place of which class.  inplace: whether the model itself is changed; it is copied otherwise.
    Raises: ValueError for other dtypes without a QConfig.
    Source: torch.ao.quantization.quantize_dynamic.
    """
    wanted = _wanted(qconfig_spec, dtype)
    table = get_default_dynamic_quant_module_mappings() if mapping is None else mapping
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    propagate_qconfig_(model, wanted)
    convert(model, table, inplace=True)
    return model


def _wanted(spec: Any, dtype: DType) -> dict:
    """A QConfig by class or name."""
    if isinstance(spec, dict):
        return spec
    if dtype is rl.qint8:
        usual = default_dynamic_qconfig
    elif dtype is rl.float16:
        usual = float16_dynamic_qconfig
    else:
        raise ValueError(
            f"Don't know how to quantize with default settings for {dtype}. Provide full qconfig "
            "please"
        )
    return dict.fromkeys(_KINDS if spec is None else spec, usual)


def propagate_qconfig_(module: nn.Module, qconfig_dict: dict | None = None) -> None:
    """Write `qconfig` on every module: what a table has for its name or its class, or else what
    the module around it has."""
    _propagate(module, qconfig_dict or {}, None, "")


def _propagate(module: nn.Module, table: dict, around: Any, name: str) -> None:
    own = table.get(type(module), getattr(module, "qconfig", around))
    module.qconfig = found = table.get(name, own)
    for part, child in module.named_children():
        _propagate(child, table, found, f"{name}.{part}" if name else part)


def convert(
    module: nn.Module,
    mapping: dict[type, Any] | None = None,
    inplace: bool = False,
    remove_qconfig: bool = True,
) -> nn.Module:
    """Every inner module that has a QConfig and whose class the mapping knows, converted by its
    counterpart's `from_float`.

    mapping: by default, that of dynamic quantization.
    """
    table = get_default_dynamic_quant_module_mappings() if mapping is None else mapping
    if not inplace:
        module = copy.deepcopy(module)
    _convert(module, table)
    if remove_qconfig:
        for inner in module.modules():
            if "qconfig" in inner.__dict__:
                del inner.qconfig
    return module


def _convert(module: nn.Module, table: dict[type, Any]) -> None:
    for name, child in list(module.named_children()):
        if type(child) not in table:
            _convert(child, table)
        module._modules[name] = swap_module(child, table)


def swap_module(mod: nn.Module, mapping: dict[type, Any], custom: Any = None) -> nn.Module:
    """The module's counterpart, with its hooks, or the module itself."""
    qconfig: QConfig | None = getattr(mod, "qconfig", None)
    if qconfig is None or type(mod) not in mapping:
        return mod
    made = mapping[type(mod)].from_float(mod)
    for hook in mod._forward_pre_hooks.values():
        made.register_forward_pre_hook(hook)
    for hook in mod._forward_hooks.values():
        made.register_forward_hook(hook)
    return made
