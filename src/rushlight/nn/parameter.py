"""Parameters and buffers: tensors that a module registers when they are assigned to it.  Level 12.

They add nothing to a tensor's slots, so a tensor's class can be changed between them: an
uninitialized parameter becomes an ordinary one, the same object, once its shape is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.ops.creation import empty
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.storage import alias_without_grad
from rushlight.tensor.tensor import Tensor, become
from rushlight.tensor.torch_function import disabled_torch_function

UNINITIALIZED = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
    "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. "
    "Call `forward` to initialize the parameters before accessing their attributes."
)


def _alias(cls: type, data: Tensor | None, requires_grad: bool) -> Tensor:
    """A leaf of class `cls` on the same memory as `data`."""
    if data is None:
        data = empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(f"{cls.__name__}: expected a Tensor as data, got {type(data).__name__}")
    made: Any = object.__new__(cls)
    become(made, alias_without_grad(data))
    require_gradient(made, requires_grad)
    return made


def _marked(data: Any, requires_grad: bool) -> Any:
    """A tensor of a subclass stays one; it says by a mark that it is a parameter."""
    made = data.detach().requires_grad_(requires_grad)
    if type(made) is not type(data):
        raise RuntimeError(
            f"Parameter: detach() of {type(data).__name__} gave a {type(made).__name__}; let it"
            " return an instance of the same class"
        )
    made._is_param = True
    return made


class _ParameterMeta(type(Tensor)):  # type: ignore[misc]
    """Makes an instance of another subclass of Tensor a parameter if it is marked as one."""

    def __instancecheck__(cls, value: Any) -> bool:
        if type.__instancecheck__(cls, value):
            return True
        return cls is Parameter and isinstance(value, Tensor) and hasattr(value, "_is_param")


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is trained: a leaf that requires a gradient unless told otherwise.

    Shares the memory of `data`.  Modules register it when it is assigned to an attribute.
    """

    __slots__ = ()

    _prints_as_tensor = True

    __torch_function__ = disabled_torch_function

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        kind = type(data)
        if data is not None and kind is not Tensor and not issubclass(kind, (Parameter, Buffer)):
            if issubclass(kind, Tensor) and cls is Parameter:
                return _marked(data, requires_grad)
        return _alias(cls, data, requires_grad)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            # As in PyTorch, the copy of a parameter starts without a gradient.
            Tensor.__deepcopy__(self, memo)._grad = None
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that is state but is not trained; saved with the module if `persistent`."""

    __slots__ = ()

    __torch_function__ = disabled_torch_function

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        made: Any = _alias(cls, data, data is not None and data.requires_grad)
        made.persistent = persistent
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""


class UninitializedTensorMixin:
    """What uninitialized parameters and buffers share: no shape before `materialize`."""

    __slots__ = ()

    data: Any

    cls_to_become: type = Tensor

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of this shape, whose values are not set yet."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = empty(tuple(shape), device=device, dtype=dtype)  # type: ignore[misc]
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(UNINITIALIZED)

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet."""

    __slots__ = ()

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _alias(cls, empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet."""

    __slots__ = ()

    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        made: Any = _alias(cls, empty(0, device=device, dtype=dtype), requires_grad)
        made.persistent = persistent
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer still lacks its shape."""
    return isinstance(param, UninitializedTensorMixin)
