"""`torch.ops`: operators by namespace, those that programs registered and PyTorch's own.

In: operators from `library`.  Out: `ops.<namespace>.<name>`, called as a function; `.default` and
other overloads are the same operator.  A name that was never registered is absent.  Level 11.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.ops.library_steps import STEPS
from rushlight.ops.record_steps import RECORDS
from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.tensor import Tensor

# Namespace -> name -> operator; `library` fills it.
REGISTERED: dict[str, dict[str, Any]] = {}
_BUILT_IN = ("aten", "prims")
_FUNCTIONAL = "rushlight.nn.functional"
# Steps of PyTorch's own below its functions.  Programs name them in tables of rules for classes
# with `__torch_dispatch__`; here nothing is made of them, so calling one is refused.
INTERNAL = frozenset(
    "_log_softmax_backward_data native_layer_norm native_layer_norm_backward native_batch_norm"
    " native_batch_norm_backward native_group_norm native_dropout convolution_backward"
    " is_pinned _pin_memory expand_as_backward embedding_dense_backward"
    " threshold_backward gelu_backward silu_backward sigmoid_backward tanh_backward"
    " _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"
    " _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention _scaled_mm"
    " _has_compatible_shallow_copy_type _local_scalar_dense _foreach_norm _fused_adam_"
    " _fused_adamw_ _fused_sgd_ nll_loss_forward nll_loss_backward max_pool2d_with_indices"
    " upsample_nearest2d upsample_bilinear2d _fft_c2c _fft_r2c _fft_c2r _grouped_mm"
    " _sparse_addmm _assert_scalar _assert_tensor_metadata sym_constrain_range_for_size".split()
)


class OperatorPacket:
    """One operator with its overloads: calling it calls the function behind it."""

    def __init__(
        self, qualified_name: str, call: Callable[..., Any], definition: Any = None
    ) -> None:
        self._qualified_op_name = qualified_name
        self.__name__ = qualified_name.rpartition("::")[2]
        self.__module__ = f"torch.ops.{qualified_name.partition('::')[0]}"
        self._call = call
        self.definition = definition

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def overloads(self) -> list[str]:
        """Names of the overloads."""
        return ["default"]

    def name(self) -> str:
        """The name with its namespace: `ns::op`."""
        return self._qualified_op_name

    @property
    def _schema(self) -> Any:
        return getattr(self.definition, "schema", self._qualified_op_name)

    @property
    def op(self) -> Callable[..., Any]:
        """The function behind it."""
        return self._call

    def __getattr__(self, overload: str) -> OperatorOverload:
        if overload.startswith("__"):
            raise AttributeError(overload)
        made = self.__dict__[overload] = OperatorOverload(self, overload)
        return made

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._qualified_op_name.replace('::', '.')}')>"

    def __hash__(self) -> int:
        return hash(self._qualified_op_name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OperatorPacket):
            return NotImplemented
        return self._qualified_op_name == other._qualified_op_name


class OperatorOverload:
    """An operator for arguments of certain kinds: `aten.add.Tensor`.

    Here the function behind it takes all of them, so that each overload calls the same.
    """

    def __init__(self, packet: OperatorPacket, name: str) -> None:
        self._overloadpacket = packet
        self._overloadname = name
        self._opname = packet.__name__
        self.namespace = packet._qualified_op_name.partition("::")[0]
        self.__name__ = f"{packet.__name__}.{name}"
        self.__module__ = packet.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._overloadpacket(*args, **kwargs)

    @property
    def overloadpacket(self) -> OperatorPacket:
        """The operator with all its overloads."""
        return self._overloadpacket

    @property
    def op(self) -> Callable[..., Any]:
        """The function behind it."""
        return self._overloadpacket.op

    @property
    def definition(self) -> Any:
        """What registered the operator; None for PyTorch's own."""
        return self._overloadpacket.definition

    @property
    def _schema(self) -> Any:
        definition = self._overloadpacket.definition
        return definition.schema if definition is not None else _Signature(self)

    @property
    def tags(self) -> list[Any]:
        """What the operator promises: nothing is said of PyTorch's own."""
        return []

    def name(self) -> str:
        """The name with namespace and overload, unless that is the default: `aten::add.Tensor`."""
        suffix = "" if self._overloadname == "default" else f".{self._overloadname}"
        return self._overloadpacket._qualified_op_name + suffix

    def __repr__(self) -> str:
        qualified = self._overloadpacket._qualified_op_name.replace("::", ".")
        return f"<OpOverload(op='{qualified}', overload='{self._overloadname}')>"

    def __str__(self) -> str:
        return f"{self.namespace}.{self.__name__}"


class _Signature:
    """What is said of an operator of PyTorch's own: its name, and whether it writes."""

    def __init__(self, overload: OperatorOverload) -> None:
        self.name = overload._overloadpacket._qualified_op_name
        self.overload_name = "" if overload._overloadname == "default" else overload._overloadname
        self.is_mutable = overload._opname.endswith("_") and not overload._opname.endswith("__")

    def __str__(self) -> str:
        return f"{self.name}.{self.overload_name}" if self.overload_name else self.name


class OperatorNamespace:
    """`ops.<name>`: its operators as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.__name__ = f"torch.ops.{name}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = REGISTERED.get(self._name, {}).get(name)
        if found is None and self._name in _BUILT_IN:
            found = _built_in(self._name, name)
        if found is None:
            raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")
        return found

    def __dir__(self) -> list[str]:
        return sorted(REGISTERED.get(self._name, {}))

    def __iter__(self) -> Iterator[str]:
        return iter(REGISTERED.get(self._name, {}))


def _built_in(namespace: str, name: str) -> OperatorPacket | None:
    """An operator of PyTorch's that is a public function or a method here."""
    call: Any = PUBLIC.get(name) or vars(Tensor).get(name) or STEPS.get(name)
    if call is None:
        # Those of the layers are no functions of the top.
        call = vars(importlib.import_module(_FUNCTIONAL)).get(name)
    if call is None and name in INTERNAL:
        call = _refusal(f"{namespace}::{name}")
    if not callable(call):
        return None
    packet = OperatorPacket(f"{namespace}::{name}", call)
    REGISTERED.setdefault(namespace, {})[name] = packet
    return packet


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{name} is a step inside of PyTorch's own library; call the public function instead"
        )

    return refuse


REGISTERED["profiler"] = {
    name: OperatorPacket(f"profiler::{name}", call) for name, call in RECORDS.items()
}
_namespaces: dict[str, OperatorNamespace] = {}


def namespace(name: str) -> OperatorNamespace:
    """The namespace of this name; a new one is empty."""
    return _namespaces.setdefault(name, OperatorNamespace(name))


def load_library(path: str) -> None:
    """Load a library of operators.  Raises: OSError; libraries are built for PyTorch's C++."""
    raise OSError(
        f"ops.load_library: {path} is built on PyTorch's C++ library, which is not here; register"
        " the operators in Python with library.custom_op"
    )
