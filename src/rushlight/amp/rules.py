"""Which functions autocast calls in which precision, and how it casts their operands.

Those of the CPU were found by calling PyTorch 2.13's functions under autocast; those of
accelerators are what its documentation lists for CUDA.  A function that is in no list runs as it
stands, in the dtypes that its operands have.  Level 12.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import DType, float32, float64
from rushlight.overrides.interception import Interceptor, interceptor_of, python_form
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import state

# By namespace.  Products: their operands in 16 bits.
LOWER: dict[str, str] = {
    "": "matmul mm bmm addmm addbmm baddbmm einsum tensordot inner chain_matmul matrix_power"
    " conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc prelu cov"
    " corrcoef",
    "nn.functional": "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d"
    " conv_transpose3d conv_tbc scaled_dot_product_attention prelu affine_grid",
    "linalg": "matmul multi_dot matrix_power",
}
# Losses, decompositions, transforms: their operands in float32.
FULL: dict[str, str] = {
    "": "polar prod quantile nanquantile stft cdist trace view_as_complex cholesky"
    " cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse geqrf qr svd"
    " triangular_solve cosine_embedding_loss",
    "nn.functional": "avg_pool3d adaptive_avg_pool3d max_pool3d max_pool3d_with_indices"
    " adaptive_max_pool3d adaptive_max_pool3d_with_indices fractional_max_pool2d"
    " fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices"
    " max_unpool1d max_unpool2d max_unpool3d binary_cross_entropy"
    " binary_cross_entropy_with_logits grid_sample mse_loss l1_loss smooth_l1_loss huber_loss"
    " nll_loss cross_entropy cosine_embedding_loss hinge_embedding_loss poisson_nll_loss"
    " margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss"
    " multilabel_margin_loss ctc_loss kl_div",
    "fft": "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft hfft2"
    " ihfft2 hfftn ihfftn",
    "linalg": "cond matrix_rank cholesky svdvals eigvals eigvalsh inv qr cholesky_ex svd eig eigh"
    " inv_ex solve lstsq householder_product tensorinv tensorsolve",
}
# The operands in the widest dtype among them.
WIDEST: dict[str, str] = {"": "cat concat concatenate stack index_copy"}
# The same for accelerators.
DEVICE_LOWER: dict[str, str] = {
    "": "matmul mm bmm mv addmm addmv addr addbmm baddbmm einsum inner chain_matmul matrix_power"
    " conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc prelu",
    "nn.functional": "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d"
    " conv_transpose3d conv_tbc scaled_dot_product_attention prelu",
    "linalg": "matmul multi_dot matrix_power",
}
DEVICE_FULL: dict[str, str] = {
    "": "acos asin cosh cosine_similarity cdist cumprod cumsum dist erfinv exp expm1 log log10"
    " log1p log2 log_softmax logsumexp norm pow prod reciprocal renorm rsqrt sinh softmax sum tan"
    " layer_norm group_norm cosine_embedding_loss",
    "nn.functional": "binary_cross_entropy_with_logits cosine_embedding_loss cosine_similarity"
    " cross_entropy group_norm hinge_embedding_loss huber_loss kl_div l1_loss layer_norm"
    " log_softmax margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss"
    " normalize pdist poisson_nll_loss smooth_l1_loss soft_margin_loss softmax softmin softplus"
    " triplet_margin_loss",
    "linalg": "norm vector_norm matrix_norm",
}
DEVICE_WIDEST: dict[str, str] = {
    "": "addcdiv addcmul atan2 bilinear cat concat concatenate cross dot index_put scatter_add"
    " stack tensordot",
    "nn.functional": "bilinear grid_sample",
}
# Paddings that copy borders are in float32, the others as they stand.
_BORDERS = ("reflect", "replicate")


class Casting:
    """What an autocast context asks for.

    dtypes: of products, by the kind of device.  cached: float32 leaves that were cast, with the
    version they had.
    """

    def __init__(
        self,
        dtypes: dict[str, DType],
        cached: dict[int, tuple[Tensor, int, Tensor]] | None,
    ) -> None:
        self.dtypes = dtypes
        self.cached = cached


def _is_eligible(value: Any) -> bool:
    if not isinstance(value, Tensor):
        return False
    dtype = value._node.dtype
    return dtype.is_floating_point and dtype is not float64


def _kind_of(values: Any, casting: Casting) -> str | None:
    """The kind of device of the first operand that a context may cast; None if there is none."""
    return next((t.device.type for t in _tensors(values) if t.device.type in casting.dtypes), None)


def cast_to(value: Any, dtype: DType, casting: Casting | None = None) -> Any:
    """The value with every tensor in it that autocast may cast in `dtype`."""
    if _is_eligible(value):
        if value._node.dtype is dtype:
            return value
        if casting is not None and casting.cached is not None and _may_be_kept(value):
            return _kept(value, casting.cached, dtype)
        return value.to(dtype)
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([cast_to(inner, dtype, casting) for inner in value])
    return value


def _may_be_kept(value: Any) -> bool:
    """A parameter that is used several times is cast once."""
    is_leaf = value.requires_grad and value.is_leaf and value._base is None
    return is_leaf and value._node.dtype is float32 and is_grad_enabled()


def _kept(value: Tensor, cached: dict[int, tuple[Tensor, int, Tensor]], dtype: DType) -> Tensor:
    known = cached.get(id(value))
    if known is not None and known[0] is value and known[1] == value._version:
        if known[2]._node.dtype is dtype:
            return known[2]
    made = value.to(dtype)  # type: ignore[attr-defined]
    cached[id(value)] = (value, value._version, made)
    return made


def _run(original: Callable, args: Any, kwargs: dict) -> Any:
    """Within one operation nothing is cast again."""
    casting, state.autocast = state.autocast, None
    try:
        return original(*args, **kwargs)
    finally:
        state.autocast = casting


def _in_lower(original: Callable, args: tuple, kwargs: dict) -> Any:
    casting = state.autocast
    dtype = casting.dtypes[_kind_of((*args, *kwargs.values()), casting)]
    args = tuple([cast_to(value, dtype, casting) for value in args])
    kwargs = {key: cast_to(value, dtype, casting) for key, value in kwargs.items()}
    return _run(original, args, kwargs)


def _in_full(original: Callable, args: tuple, kwargs: dict) -> Any:
    args = tuple([cast_to(value, float32) for value in args])
    kwargs = {key: cast_to(value, float32) for key, value in kwargs.items()}
    return _run(original, args, kwargs)


def _in_widest(original: Callable, args: tuple, kwargs: dict) -> Any:
    casting = state.autocast
    operands = (*args, *kwargs.values())
    found = [value._node.dtype for value in _tensors(operands)]
    widest = float32 if float32 in found else casting.dtypes[_kind_of(operands, casting)]
    if len(set(found)) > 1:
        args = tuple([cast_to(value, widest) for value in args])
        kwargs = {key: cast_to(value, widest) for key, value in kwargs.items()}
    return _run(original, args, kwargs)


def _tensors(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if _is_eligible(value):
            found.append(value)
        elif type(value) in (list, tuple):
            found.extend(_tensors(value))
    return found


def _padding(original: Callable, args: tuple, kwargs: dict) -> Any:
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    if mode not in _BORDERS:
        return original(*args, **kwargs)
    return _in_full(original, args, kwargs)


_RULES = (
    (LOWER, _in_lower), (FULL, _in_full), (WIDEST, _in_widest),
    ({"nn.functional": "pad"}, _padding),
)  # fmt: skip
_DEVICE_RULES = (
    (DEVICE_LOWER, _in_lower), (DEVICE_FULL, _in_full), (DEVICE_WIDEST, _in_widest),
)  # fmt: skip


def _chosen(here: Callable | None, there: Callable | None) -> Callable:
    """A rule for operands of the CPU, and one for those of accelerators."""

    def rule(original: Callable, args: tuple, kwargs: dict) -> Any:
        kind = _kind_of((*args, *kwargs.values()), state.autocast)
        chosen = None if kind is None else here if kind == "cpu" else there
        if chosen is None:
            return original(*args, **kwargs)
        return chosen(original, args, kwargs)

    return rule


def _functions(tables: tuple) -> dict[int, tuple[Any, Callable]]:
    """Every function in a table, with its rule."""
    found: dict[int, tuple[Any, Callable]] = {}
    for table, rule in tables:
        for namespace, names in table.items():
            module = importlib.import_module(f"rushlight.{namespace}".rstrip("."))
            owners = (module, Tensor) if not namespace else (module,)
            for owner in owners:
                for name in names.split():
                    function = python_form(vars(owner).get(name))
                    if function is not None:
                        found[id(function)] = function, rule
    return found


def interceptors(devices: bool) -> list[Interceptor]:
    """Of every function with a rule for the CPU, and for accelerators where they are in use."""
    here = _functions(_RULES)
    there = _functions(_DEVICE_RULES)
    found = []
    for key in {**here, **there} if devices else here:
        function = (here.get(key) or there[key])[0]
        one = interceptor_of(function)
        one.rule = _chosen(here.get(key, (None, None))[1], there.get(key, (None, None))[1])
        found.append(one)
    return found
