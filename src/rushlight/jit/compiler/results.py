"""What operators return: by their name, and where that does not decide, by what they are given.

Most return a tensor; the others are listed here.  In: the name of an operator, as after `torch.`,
and the types of its operands.  Level: jit (12).
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.jit.compiler.types import (
    BOOL,
    DEVICE,
    FLOAT,
    INT,
    NONE,
    NUMBER,
    STR,
    TENSOR,
    Type,
    list_of,
    tuple_of,
)

_INTS, _TENSORS = list_of(INT), list_of(TENSOR)
_PAIR, _TRIPLE = tuple_of(TENSOR, TENSOR), tuple_of(TENSOR, TENSOR, TENSOR)
_OF: dict[str, Type] = {}
for _kind, _names in (
    (INT, "dim ndimension numel nelement storage_offset element_size get_device len"),
    (BOOL, "is_floating_point is_complex is_contiguous equal allclose is_nonzero is_same_size "
           "is_signed is_conj is_neg is_coalesced __contains__ is_grad_enabled is_inference"),
    (NUMBER, "item"),
    (_TENSORS, "chunk unbind split_with_sizes tensor_split hsplit vsplit dsplit unsafe_chunk "
               "unsafe_split meshgrid broadcast_tensors atleast_list gradient"),
    (_PAIR, "sort topk kthvalue mode cummax cummin aminmax var_mean std_mean frexp slogdet qr "
            "geqrf gru rnn_tanh rnn_relu lstm_cell max_pool1d_with_indices "
            "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d "
            "adaptive_max_pool2d adaptive_max_pool3d linalg_eigh linalg_qr linalg_slogdet "
            "native_dropout triangular_solve"),
    (_TRIPLE, "lstm svd linalg_svd unique_consecutive unique_dim _unique2 native_layer_norm "
              "native_batch_norm lu_unpack"),
    (tuple_of(*[TENSOR] * 4), "embedding_bag"),
    (NONE, "manual_seed warn"),
    (DEVICE, "device"),
    (STR, "format"),
):  # fmt: skip
    _OF.update(dict.fromkeys(_names.split(), _kind))
FIELDS = {
    **dict.fromkeys("max min median nanmedian sort topk kthvalue mode cummax cummin".split(),
                    ("values", "indices")),
    "aminmax": ("min", "max"), "slogdet": ("sign", "logabsdet"), "qr": ("Q", "R"),
    "linalg_eigh": ("eigenvalues", "eigenvectors"), "linalg_qr": ("Q", "R"),
    "linalg_slogdet": ("sign", "logabsdet"), "svd": ("U", "S", "V"), "linalg_svd": ("U", "S", "Vh"),
    "frexp": ("mantissa", "exponent"),
}  # fmt: skip


def _extremum(given: list[Type], names: set[str]) -> Type:
    by_axis = len(given) > 1 and given[1] == INT
    return _PAIR if by_axis or "dim" in names else TENSOR


def _size(given: list[Type], names: set[str]) -> Type:
    return INT if len(given) > 1 or "dim" in names else _INTS


def _where(given: list[Type], names: set[str]) -> Type:
    return _TENSORS if len(given) == 1 and not names else TENSOR


def _nonzero(given: list[Type], names: set[str]) -> Type:
    return _TENSORS if "as_tuple" in names else TENSOR


def _first(given: list[Type], names: set[str]) -> Type:
    return given[0]


_BY_OPERANDS: dict[str, Callable[[list[Type], set[str]], Type]] = {
    "max": _extremum, "min": _extremum, "median": _extremum, "nanmedian": _extremum,
    "size": _size, "stride": _size, "where": _where, "nonzero": _nonzero,
}  # fmt: skip


def result_of(name: str, given: list[Type], names: set[str]) -> Type:
    """The type of what an operator returns.

    given: the types of the operands by position.  names: keywords of the others.
    """
    chosen = _BY_OPERANDS.get(name)
    found = chosen(given, names) if chosen is not None else _OF.get(name, TENSOR)
    if name in FIELDS and found.name == "Tuple":
        return Type("Tuple", found.args, FIELDS[name])
    return found


# ---- numbers -------------------------------------------------------------------------------------

_TO_INT = frozenset("floor ceil trunc".split())


def of_arithmetic(name: str, left: Type, right: Type) -> Type | None:
    """The type of an operation on two values that are no tensors; None if there is none."""
    numbers = {INT: 0, FLOAT: 1, Type("complex"): 2, NUMBER: 3}
    if name == "add" and left == right and (left.name in ("List", "str")):
        return left
    if name == "add" and left.name == right.name == "Tuple":
        return tuple_of(*left.args, *right.args)
    if name == "mul" and left.name == "List" and right == INT:
        return left
    if name in ("__and__", "__or__", "__xor__") and left == right == BOOL:
        return BOOL
    if left not in numbers or right not in numbers:
        return None
    highest = left if numbers[left] >= numbers[right] else right
    if name in ("div", "pow") and highest == INT:
        return FLOAT
    if name in ("__and__", "__or__", "__xor__", "__lshift__", "__rshift__"):
        return INT if highest == INT else None
    return highest


def of_number_function(name: str, given: Type) -> Type:
    """The type of a mathematical function of a number."""
    if name in _TO_INT:
        return INT
    if name in ("isnan", "isinf", "isfinite"):
        return BOOL
    return given if name in ("abs", "neg") else FLOAT


# ---- properties and methods ----------------------------------------------------------------------

# Properties of tensors: (text with the tensor for {}, type).
PROPERTIES: dict[str, tuple[str, Type]] = {
    "shape": ("torch.size({})", _INTS), "dtype": ("ops.prim.dtype({})", INT),
    "device": ("ops.prim.device({})", DEVICE), "ndim": ("torch.dim({})", INT),
    "T": ("torch.numpy_T({})", TENSOR), "mT": ("torch.mT({})", TENSOR),
    "data": ("ops.prim.data({})", TENSOR), "real": ("torch.real({})", TENSOR),
    "imag": ("torch.imag({})", TENSOR), "layout": ("ops.prim.layout({})", INT),
    "requires_grad": ("ops.prim.requires_grad({})", BOOL),
    "grad": ("ops.prim.grad({})", Type("Optional", (TENSOR,))),
    "itemsize": ("ops.prim.itemsize({})", INT),
    **{name: (f"ops.prim.{name}({{}})", BOOL) for name in (
        "is_cuda", "is_cpu", "is_sparse", "is_quantized", "is_meta", "is_mps", "is_xpu",
        "is_mkldnn", "is_nested")},
}  # fmt: skip


def _element(owner: Type) -> Type:
    return owner.args[0]


Rule = Callable[[Type], Type]
# Methods of lists, dictionaries and text: what they return, by the type of their owner.
METHODS: dict[str, dict[str, Rule]] = {
    "List": {
        "append": lambda t: t, "extend": lambda t: NONE, "insert": lambda t: NONE,
        "remove": lambda t: NONE, "reverse": lambda t: NONE, "clear": lambda t: NONE,
        "sort": lambda t: NONE, "pop": _element, "copy": lambda t: t, "count": lambda t: INT,
        "index": lambda t: INT,
    },
    "Dict": {
        "keys": lambda t: list_of(t.args[0]), "values": lambda t: list_of(t.args[1]),
        "items": lambda t: list_of(tuple_of(*t.args)), "copy": lambda t: t,
        "clear": lambda t: NONE, "update": lambda t: NONE, "pop": lambda t: t.args[1],
        "popitem": lambda t: tuple_of(*t.args), "setdefault": lambda t: t.args[1],
    },
    "str": {
        **{name: (lambda t: STR) for name in (
            "capitalize center join ljust lower lstrip replace rjust rstrip strip swapcase title "
            "upper zfill expandtabs").split()},
        **{name: (lambda t: INT) for name in "find rfind index rindex count".split()},
        **{name: (lambda t: BOOL) for name in (
            "endswith startswith isalnum isalpha isdecimal isdigit isidentifier islower isnumeric "
            "isprintable isspace istitle isupper").split()},
        "split": lambda t: list_of(STR), "rsplit": lambda t: list_of(STR),
        "splitlines": lambda t: list_of(STR),
    },
}  # fmt: skip
# Text and lists that `get` of a dictionary returns are optional without a default.
DEVICE_PROPERTIES: dict[str, tuple[str, Type]] = {
    "type": ("ops.prim.type({})", STR), "index": ("ops.prim.index({})", Type("Optional", (INT,))),
}  # fmt: skip
