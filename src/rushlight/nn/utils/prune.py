"""Pruning: PyTorch's `torch.nn.utils.prune`.

A pruned parameter `weight` becomes the parameter `weight_orig` and the buffer `weight_mask`;
`weight` is their product, computed anew before each `forward`.  Level 12.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.ops.alike import ones_like, zeros_like
from rushlight.ops.random import rand
from rushlight.tensor.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A way to choose what stays: derive, set PRUNING_TYPE, and write `compute_mask`.

    PRUNING_TYPE: "unstructured", "structured" or "global".
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """The hook before `forward`."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Ones for what stays, within `default_mask`."""

    def apply_mask(self, module: Module) -> Any:
        """The original parameter times its mask.  Raises: AssertionError before pruning."""
        name = getattr(self, "_tensor_name", None)
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask = getattr(module, f"{name}_mask")
        original = getattr(module, f"{name}_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> Any:
        """Prune a parameter of a module; returns the method that holds it.

        importance_scores: what the choice looks at instead of the parameter.
        Raises: AssertionError if their shape is another.
        """
        hooks = [
            (key, hook) for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]  # fmt: skip
        for key, _ in hooks:
            del module._forward_pre_hooks[key]
        method = cls(*args, **kwargs)
        method._tensor_name = name
        own = method
        if hooks:
            own = PruningContainer(hooks[0][1])  # type: ignore[assignment]
            own._tensor_name = name
            own.add_pruning_method(method)  # type: ignore[attr-defined]
        try:
            cls._install(own, module, name, importance_scores, bool(hooks))
        except Exception:
            for key, hook in hooks:
                module._forward_pre_hooks[key] = hook
            raise
        return own

    @staticmethod
    def _install(method: Any, module: Module, name: str, scores: Any, again: bool) -> None:
        original = getattr(module, name)
        if scores is not None and scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if scores is None:
            scores = original
        if not again:
            if not isinstance(original, Parameter):
                raise TypeError(f"prune: {name} of {type(module).__name__} is no parameter")
            default = ones_like(original)
        else:
            default = getattr(module, f"{name}_mask").detach().clone()
        mask = method.compute_mask(scores.detach(), default_mask=default)
        if not again:
            module.register_parameter(f"{name}_orig", original)
            del module._parameters[name]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """A pruned copy of a tensor.  Raises: AssertionError for scores of another shape."""
        if importance_scores is not None and importance_scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        scores = t if importance_scores is None else importance_scores
        default = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=default)

    def remove(self, module: Module) -> None:
        """Let the pruned values be the parameter.  Raises: AssertionError before pruning."""
        name = self._tensor_name
        values = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original: Any = module._parameters[f"{name}_orig"]
        original.data = values.data
        del module._parameters[f"{name}_orig"]
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods for one parameter, each choosing among what the former ones left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        alone = len(args) == 1 and isinstance(args[0], Iterable)
        methods: tuple[Any, ...] = tuple(args[0]) if alone else args
        if methods and not hasattr(methods[0], "_tensor_name"):
            self._pruning_methods = tuple(methods)
            return
        if methods:
            self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method of the same parameter.  Raises: TypeError, ValueError for another."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named"
                f" '{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """What the last method leaves of what the mask leaves."""
        method = self._pruning_methods[-1]
        kind = method.PRUNING_TYPE
        mask = default_mask.to(dtype=t.dtype)
        if kind == "unstructured":
            left: Any = mask == 1
        elif kind == "structured":
            dim = method.dim % t.dim()
            others = [axis for axis in range(t.dim()) if axis != dim]
            channels = mask.sum(dim=others) != 0
            left = [slice(None)] * t.dim()
            left[dim] = channels
            left = tuple(left)
        elif kind == "global":
            left = tuple([slice(None)] * t.dim())
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        new = mask.clone()
        new[left] = method.compute_mask(t[left], default_mask=mask[left]).to(dtype=new.dtype)
        return new


class Identity(BasePruningMethod):
    """Everything stays; the parameter only takes the form of a pruned one."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask as it is."""
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, **kwargs: Any) -> Any:
        """Prune nothing of a parameter."""
        return super().apply(module, name)


class _Amount(BasePruningMethod):
    """A method with an amount: a share, or a number of elements or channels."""

    def __init__(self, amount: Any) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        wrong = (isinstance(amount, numbers.Integral) and float(amount) < 0) or (
            not isinstance(amount, numbers.Integral) and not 0.0 <= float(amount) <= 1.0
        )
        if wrong:
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative"
                " integer"
            )
        self.amount = amount

    def _count(self, size: int) -> int:
        """How many of `size`.  Raises: ValueError if the amount is more."""
        if isinstance(self.amount, numbers.Integral):
            if float(self.amount) > size:
                raise ValueError(
                    f"amount={self.amount} should be smaller than the number of parameters to"
                    f" prune={size}"
                )
            return int(self.amount)
        return round(float(self.amount) * size)


class RandomUnstructured(_Amount):
    """Prune elements at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Zeros in random places."""
        count = self._count(t.nelement())
        mask = default_mask.clone()
        if count:
            chosen = rand(t.shape).view(-1).topk(k=count).indices  # type: ignore[attr-defined]
            mask.view(-1)[chosen] = 0
        return mask

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Prune an amount of a parameter."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Amount):
    """Prune the elements with the smallest magnitude."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Zeros where magnitudes are smallest."""
        count = self._count(t.nelement())
        mask = default_mask.clone()
        if count:
            chosen = t.abs().view(-1).topk(k=count, largest=False).indices
            mask.view(-1)[chosen] = 0
        return mask

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: Any, importance_scores: Any = None
    ) -> Any:
        """Prune an amount of a parameter."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Structured(_Amount):
    """A method that prunes whole channels along `dim`."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Zeros in the channels with the lowest scores.

        Raises: ValueError for a vector, IndexError for an axis that is not there.
        """
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor"
                f" of shape {t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = self._count(size)
        if count == 0:
            return default_mask
        kept = self._kept(t, size, count)
        mask = zeros_like(t)
        index: list[Any] = [slice(None)] * t.dim()
        index[self.dim] = kept
        mask[tuple(index)] = 1  # type: ignore[index]
        return mask * default_mask.to(dtype=mask.dtype)

    def _kept(self, t: Any, size: int, count: int) -> Any:
        return self._scores(t).topk(k=size - count, largest=True).indices


class RandomStructured(_Structured):
    """Prune channels at random."""

    def _kept(self, t: Any, size: int, count: int) -> Any:
        scores: Any = rand(size)
        return scores > scores.kthvalue(k=count).values

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, dim: int = -1, **kwargs: Any) -> Any:  # type: ignore[override]
        """Prune an amount of a parameter's channels."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prune the channels with the smallest norm of order `n`."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Any) -> Any:
        dim = self.dim % t.dim()
        return t.norm(p=self.n, dim=[axis for axis in range(t.dim()) if axis != dim])

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
    ) -> Any:
        """Prune an amount of a parameter's channels."""
        return super().apply(
            module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores
        )


class CustomFromMask(BasePruningMethod):
    """Prune what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The given mask, within the former one.  Raises: AssertionError for another shape."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, mask: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Prune a parameter by a mask."""
        return super().apply(module, name, mask=mask)


def identity(module: Module, name: str) -> Module:
    """See Identity; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """See RandomUnstructured; returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: Any, importance_scores: Any = None
) -> Module:
    """See L1Unstructured; returns the module."""
    L1Unstructured.apply(module, name, amount, importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """See RandomStructured; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """See LnStructured; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """See CustomFromMask; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters as if they were one: pairs of module and name.

    Raises: TypeError for a list of something else, or a method that is not "unstructured".
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    scores = importance_scores or {}
    values = [scores.get((m, name), getattr(m, name)).detach() for m, name in pairs]
    flat: Any = _flat(values)
    masks = [getattr(m, f"{name}_mask", ones_like(getattr(m, name))) for m, name in pairs]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method'
            f" {pruning_method} of type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    final = container.compute_mask(flat, _flat(masks))
    start = 0
    for module, name in pairs:
        parameter = getattr(module, name)
        stop = start + math.prod(parameter.shape)
        custom_from_mask(module, name, final[start:stop].view_as(parameter))
        start = stop


def _flat(tensors: list[Any]) -> Any:
    whole = tensors[0].reshape(-1)
    if len(tensors) == 1:
        return whole
    size = sum(x.numel() for x in tensors)
    joined: Tensor = whole.new_empty(size)
    start = 0
    for x in tensors:
        joined[start : start + x.numel()] = x.reshape(-1)  # type: ignore[index]
        start += x.numel()
    return joined


def remove(module: Module, name: str) -> Module:
    """Let the pruned values be the parameter.  Raises: ValueError if it was not pruned."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one in it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for _, inner in module.named_modules()
        for hook in inner._forward_pre_hooks.values()
    )
