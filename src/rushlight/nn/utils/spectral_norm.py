"""Spectral normalization, w / σ(w) (Miyato et al. 2018).  Level 12.

σ, the largest singular value of the weight as a matrix, comes from a power iteration whose vectors
are kept in buffers; each use in training makes a step of it.  In the older form a hook computes the
weight before each call; in the newer one the weight is a parametrized tensor.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F
from rushlight.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.parametrize import register_parametrization
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

# Of what a state holds: from this one on, u and v.
VERSION = 1
TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def _as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with axis `dim` as rows and all others as columns."""
    if dim != 0:
        rest = [axis for axis in range(weight.dim()) if axis != dim]
        weight = weight.permute(dim, *rest)
    return weight.flatten(1)


def _random_direction(like: Tensor, size: int, eps: float) -> Tensor:
    return F.normalize(like.new_empty(size).normal_(0, 1), dim=0, eps=eps)


def _output_dim(module: Module, dim: int | None) -> int:
    """The axis of the outputs: the second of a transposed convolution's weight."""
    if dim is not None:
        return dim
    return 1 if isinstance(module, TRANSPOSED) else 0


class _SpectralNorm(Module):
    """The parametrization; vectors are normalized, the weight is divided by σ."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.dim()}, "
                f"{weight.dim() - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = _as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.shape
            u = _random_direction(matrix, rows, eps)
            v = _random_direction(matrix, columns, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Tensor, steps: int) -> None:
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = _as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        # Copies: a later step must not change what this one's backward needs.
        return weight / self._u.clone().dot(matrix.mv(self._v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The weight itself: a normalized one stays as it is."""
        return value


def parametrize_spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Spectral normalization as a parametrization; returns `module`.

    Raises: ValueError if `module` has no such tensor.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    norm = _SpectralNorm(weight, n_power_iterations, _output_dim(module, dim), eps)
    return register_parametrization(module, name, norm)


class SpectralNorm:
    """The hook that computes a normalized weight from `<name>_orig` before each call."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight divided by its σ, after some steps of the power iteration."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = _as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix.mv(v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()
        return weight / u.dot(matrix.mv(v))

    def vector_of(self, weight: Tensor, u: Tensor, sigma: Tensor) -> Tensor:
        """The v for which u · W v is σ: of the least-squares solution of W v = u, scaled."""
        matrix = _as_matrix(weight, self.dim)
        v = matrix.pinverse().mv(u)
        return v * (sigma / u.dot(matrix.mv(v)))

    def attach(self, module: Module) -> None:
        """Replace the weight by `<name>_orig` and the vectors of the power iteration."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == self.name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {self.name}"
                )
        weight: Any = module._parameters.pop(self.name)
        with no_grad():
            rows, columns = _as_matrix(weight, self.dim).shape
            u = _random_direction(weight, rows, self.eps)
            v = _random_direction(weight, columns, self.eps)
        module.register_parameter(f"{self.name}_orig", weight)
        # Not a parameter, but there from the start, so that code may look at it before a call.
        setattr(module, self.name, weight.detach())
        module.register_buffer(f"{self.name}_u", u)
        module.register_buffer(f"{self.name}_v", v)
        module.register_forward_pre_hook(self)
        module._register_state_dict_hook(SpectralNormStateDictHook(self))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(self))

    def remove(self, module: Module) -> None:
        """Make the normalized weight an ordinary parameter."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        delattr(module, self.name)
        for suffix in ("_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


class SpectralNormStateDictHook:
    """Notes in a state's metadata that it has u and v."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(self, module: Module, state: dict, prefix: str, metadata: dict) -> None:
        versions = metadata.setdefault("spectral_norm", {})
        key = f"{self.fn.name}.version"
        if key in versions:
            raise RuntimeError(f"Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = VERSION


class SpectralNormLoadStateDictPreHook:
    """Completes a state saved before there was a v: by the normalized weight, which it has."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self, state: dict, prefix: str, metadata: dict, strict: bool, missing: list[str], *rest: Any
    ) -> None:
        version = metadata.get("spectral_norm", {}).get(f"{self.fn.name}.version")
        if version is not None and version >= VERSION:
            return
        key = prefix + self.fn.name
        if f"{key}_v" in state and key not in state:
            return
        needed = [f"{key}_orig", key, f"{key}_u"]
        absent = [name for name in needed if name not in state]
        if absent:
            missing.extend(absent if strict else ())
            return
        with no_grad():
            weight, u = state[f"{key}_orig"], state[f"{key}_u"]
            sigma = (weight / state.pop(key)).mean()
            state[f"{key}_v"] = self.fn.vector_of(weight, u, sigma)


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Spectral normalization by a hook; returns `module`."""
    SpectralNorm(name, n_power_iterations, _output_dim(module, dim), eps).attach(module)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo `spectral_norm`.  Raises: ValueError if there is none of that name."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
                _forget(hooks, name)
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")


def _forget(hooks: dict[int, Any], name: str) -> None:
    for key, hook in list(hooks.items()):
        # What loads a state may be wrapped.
        inner = getattr(hook, "hook", hook)
        if isinstance(inner, (SpectralNormStateDictHook, SpectralNormLoadStateDictPreHook)):
            if inner.fn.name == name:
                del hooks[key]
