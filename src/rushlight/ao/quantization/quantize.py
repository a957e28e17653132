"""Quantized modules in the place of others.  Level: ao (14)."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.nn.fused import FusedModule
from rushlight.ao.nn.quantized import FloatFunctional, QFunctional
from rushlight.ao.quantization.qconfig import (
    QConfig,
    default_dynamic_qconfig,
    float16_dynamic_qconfig,
)
from rushlight.ao.quantization.quantization_mappings import (
    get_default_dynamic_quant_module_mappings,
    get_default_static_quant_module_mappings,
)
from rushlight.ao.quantization.stubs import DeQuantStub, QuantWrapper
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

    mapping: by default, that of static quantization, after `prepare` and some batches.
    Source: torch.ao.quantization.convert.
    """
    table = get_default_static_quant_module_mappings() if mapping is None else mapping
    if not inplace:
        module = copy.deepcopy(module)
    _convert(module, table)
    if remove_qconfig:
        for inner in module.modules():
            if "qconfig" in inner.__dict__:
                del inner.qconfig
            _remove_observer(inner)
    return module


def _remove_observer(module: nn.Module) -> None:
    """Of what stays in numbers, the observer that `prepare` gave it."""
    if isinstance(module, (FloatFunctional, QFunctional)):
        return
    if "activation_post_process" in module._modules:
        del module._modules["activation_post_process"]
    for number, hook in list(module._forward_hooks.items()):
        if hook is _observe:
            del module._forward_hooks[number]


# ---- observation ---------------------------------------------------------------------------------


def _observe(module: nn.Module, given: Any, result: Any) -> Any:
    return module.activation_post_process(result)


def prepare(
    model: nn.Module,
    inplace: bool = False,
    allow_list: Any = None,
    observer_non_leaf_module_list: Any = None,
    prepare_custom_config_dict: dict | None = None,
) -> nn.Module:
    """The model with an observer behind every layer that has a QConfig and will be quantized.

    Run it on some batches, then `convert` it.  Set `model.qconfig` before; what has `qconfig`
    None stays in numbers.  allow_list: classes to observe, by default those that `convert` knows.
    observer_non_leaf_module_list: further classes whose whole results are observed.
    Source: torch.ao.quantization.prepare.
    """
    if prepare_custom_config_dict:
        raise NotImplementedError("prepare: prepare_custom_config_dict; use allow_list")
    if not inplace:
        model = copy.deepcopy(model)
    propagate_qconfig_(model)
    if not any(getattr(m, "qconfig", None) for m in model.modules()):
        warnings.warn(
            "None of the submodule got qconfig applied. Make sure you passed correct configuration"
            " through `qconfig_dict` or by assigning the `.qconfig` attribute directly on "
            "submodules",
            stacklevel=2,
        )
    known = set(get_default_static_quant_module_mappings()) if allow_list is None else allow_list
    _add_observers(model, set(known), tuple(observer_non_leaf_module_list or ()))
    return model


def _add_observers(module: nn.Module, known: set, whole: tuple) -> None:
    for child in list(module.children()):
        if isinstance(child, (nn.Dropout, DeQuantStub)):
            continue
        if isinstance(child, FloatFunctional):
            if getattr(child, "qconfig", None) is not None:
                child.activation_post_process = child.qconfig.activation()
        elif isinstance(child, FusedModule) or type(child) in whole or (
            type(child) in known and not list(child.children())
        ):  # fmt: skip
            _add_observer(child)
        else:
            _add_observers(child, known, whole)
    if type(module) in known and not list(module.children()):
        _add_observer(module)


def _add_observer(module: nn.Module) -> None:
    qconfig = getattr(module, "qconfig", None)
    if qconfig is None or "activation_post_process" in module._modules:
        return
    module.add_module("activation_post_process", qconfig.activation())
    # Before other hooks: what is observed is what the layer gave.
    module.register_forward_hook(_observe, prepend=True)


def quantize(
    model: nn.Module, run_fn: Any, run_args: Any, mapping: dict[type, Any] | None = None,
    inplace: bool = False,
) -> nn.Module:  # fmt: skip
    """`prepare`, `run_fn(model, *run_args)`, `convert`.  Source: torch.ao.quantization.quantize."""
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    prepare(model, inplace=True)
    run_fn(model, *run_args)
    convert(model, mapping, inplace=True)
    return model


def add_quant_dequant(module: nn.Module) -> nn.Module:
    """Every layer without children that has a QConfig, between stubs of its own."""
    if not list(module.children()) and getattr(module, "qconfig", None):
        return QuantWrapper(module)
    for name, child in module.named_children():
        module._modules[name] = add_quant_dequant(child)
    return module


# ---- conversion ----------------------------------------------------------------------------------


def _convert(module: nn.Module, table: dict[type, Any]) -> None:
    for name, child in list(module.named_children()):
        if not isinstance(child, FusedModule) and type(child) not in table:
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
        if hook is _observe:
            continue
        made.register_forward_hook(hook)
    return made
