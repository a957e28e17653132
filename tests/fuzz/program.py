"""A random program: instructions as tuples of small integers, run the same way by any library.

In: a seed.  Out: a list of (name, a, b, c, d); the integers choose operands, axes and sizes modulo
what there is, so that every sublist of a program is a program again, which makes shrinking easy.

Kinds of values are kept apart, so that rounding cannot turn into a large difference: an *exact*
tensor holds multiples of 1/4 that every library computes alike; only those meet functions with
jumps or kinks (`sign`, `max`, sorting).  Everything else is smooth where it is used.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SHAPES = ((4,), (2, 3), (3, 2), (2, 3, 2), (1, 3), (3, 1), (), (5,), (0, 3), (2, 1, 4), (1,))
DTYPES = ("float64", "float64", "float64", "float32", "int64", "bool")
MOST_ELEMENTS = 400
EXACT, SMOOTH = True, False

Instruction = tuple[str, int, int, int, int]


@dataclass
class Value:
    """One tensor of a run and what the generator's rules need to know of it."""

    tensor: Any
    exact: bool
    family: int  # tensors of one family may share memory


@dataclass
class Run:
    """One library running a program.

    told: answers to "is this result still exact?", which must not be found by reading the value,
        since a read cuts the tape; None in the run that finds them, which then stand in `answers`.
    """

    library: Any
    data: int
    values: list[Value] = field(default_factory=list)
    leaves: list[Any] = field(default_factory=list)
    told: list[bool] | None = None
    answers: list[bool] = field(default_factory=list)
    families: int = 0
    held: list[Any] = field(default_factory=list)  # memory that stays shared to the end

    def pick(self, index: int) -> Value:
        """The operand an integer stands for."""
        return self.values[index % len(self.values)]

    def partner(self, x: Value, index: int) -> Value | None:
        """An operand of `x`'s dtype that broadcasts with it, the search starting at `index`."""
        for step in range(len(self.values)):
            y = self.values[(index + step) % len(self.values)]
            if y.tensor.dtype == x.tensor.dtype and broadcasts(x.tensor.shape, y.tensor.shape):
                return y
        return None

    def still_exact(self, tensor: Any) -> bool:
        """Whether an exact result leaves room for operations that stay exact."""
        if self.told is None:
            found = has_few_bits(tensor)
        else:
            # Out of answers, the run that found them ended here with an exception.
            found = len(self.answers) < len(self.told) and self.told[len(self.answers)]
        self.answers.append(found)
        return found

    def add(self, tensor: Any, exact: bool, family: int | None = None) -> None:
        """Keep a result; one with too many elements is left out."""
        if tensor.numel() > MOST_ELEMENTS:
            return
        if family is None:
            family = self.families
            self.families += 1
        self.values.append(Value(tensor, exact, family))


def broadcasts(one: Any, other: Any) -> bool:
    """Whether two shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(one), reversed(other)))


def axis_of(x: Any, number: int) -> int:
    """An axis of `x`, from either end."""
    rank = max(x.ndim, 1)
    return number % (2 * rank) - rank


def is_real(x: Any) -> bool:
    return x.is_floating_point()


def has_elements(x: Any) -> bool:
    return x.numel() > 0


# ---- computations: (library, x, a, b) -> tensor, or None where they do not apply -----------------

EXACT_UNARY: dict[str, Callable[..., Any]] = {
    "neg": lambda t, x, a, b: -x if x.dtype != t.bool else ~x,
    "abs": lambda t, x, a, b: x.abs() if x.dtype != t.bool else None,
    "relu": lambda t, x, a, b: x.relu() if is_real(x) else None,
    "sign": lambda t, x, a, b: x.sign(),
    "floor": lambda t, x, a, b: x.floor() if is_real(x) else None,
    "round": lambda t, x, a, b: x.round() if is_real(x) else None,
    "clamp": lambda t, x, a, b: x.clamp(a % 3 - 1, 2 + b % 2) if x.dtype != t.bool else None,
    "shift": lambda t, x, a, b: x + (a % 5 - 2) / 4 if is_real(x) else x + a % 3,
    "double": lambda t, x, a, b: x * 2 if x.dtype != t.bool else None,
    "sum": lambda t, x, a, b: x.sum(axis_of(x, a), keepdim=bool(b % 2)),
    "total": lambda t, x, a, b: x.sum(),
    "amax": lambda t, x, a, b: x.amax(axis_of(x, a), keepdim=bool(b % 2)) if has_elements(x) else None,
    "max": lambda t, x, a, b: x.max(axis_of(x, a))[0] if has_elements(x) and x.ndim else None,
    "argmin": lambda t, x, a, b: x.argmin(axis_of(x, a)) if has_elements(x) and x.dtype != t.bool else None,
    "any": lambda t, x, a, b: (x > a % 3 - 1).any(axis_of(x, b)),
    "cumsum": lambda t, x, a, b: x.cumsum(axis_of(x, a)),
    "sort": lambda t, x, a, b: x.sort(dim=axis_of(x, a), descending=bool(b % 2), stable=True)[0],
    "argsort": lambda t, x, a, b: x.argsort(dim=axis_of(x, a), stable=True),
    "compare": lambda t, x, a, b: x > a % 3 - 1,
    "flip": lambda t, x, a, b: x.flip(axis_of(x, a)) if x.ndim else None,
    "roll": lambda t, x, a, b: x.roll(a % 3 - 1, axis_of(x, b)) if x.ndim else None,
    "repeat": lambda t, x, a, b: x.repeat(2, *[1] * x.ndim),
    "triu": lambda t, x, a, b: x.triu(a % 3 - 1) if x.ndim >= 2 else None,
    "pad": lambda t, x, a, b: t.nn.functional.pad(x, (a % 3 - 1, b % 2)) if x.ndim and x.shape[-1] > 1 else None,
    "take": lambda t, x, a, b: x[[0, -1, 0]] if x.ndim and x.shape[0] else None,
    "mask": lambda t, x, a, b: x[x > a % 3 - 1],
    "nonzero": lambda t, x, a, b: x.nonzero(),
    "where": lambda t, x, a, b: t.where(x > a % 3 - 1, x, x * 0 if x.dtype != t.bool else ~x),
    "index_select": lambda t, x, a, b: x.index_select(0, t.tensor([a % x.shape[0], 0])) if x.ndim and x.shape[0] else None,
    "clone": lambda t, x, a, b: x.clone(),
    "to_double": lambda t, x, a, b: x.to(t.float64),
    "to_float": lambda t, x, a, b: x.to(t.float32),
    "to_int": lambda t, x, a, b: x.to(t.int64),
    "to_half": lambda t, x, a, b: x.clamp(-8, 8).to(t.bfloat16).to(t.float64) if is_real(x) else None,
    "unbind": lambda t, x, a, b: x.unbind(0)[a % x.shape[0]] if x.ndim and x.shape[0] else None,
    "chunk": lambda t, x, a, b: x.chunk(2, axis_of(x, a))[0] if x.ndim and has_elements(x) else None,
}  # fmt: skip

SMOOTH_UNARY: dict[str, Callable[..., Any]] = {
    "exp": lambda t, x, a, b: (-(x * x)).exp(),
    "log": lambda t, x, a, b: (x * x + 0.5).log(),
    "sqrt": lambda t, x, a, b: (x * x + 0.25).sqrt(),
    "rsqrt": lambda t, x, a, b: (x * x + 0.25).rsqrt(),
    "sin": lambda t, x, a, b: x.sin(),
    "cos": lambda t, x, a, b: x.cos(),
    "tanh": lambda t, x, a, b: x.tanh(),
    "sigmoid": lambda t, x, a, b: x.sigmoid(),
    "erf": lambda t, x, a, b: x.erf(),
    "atan": lambda t, x, a, b: x.atan(),
    "gelu": lambda t, x, a, b: t.nn.functional.gelu(x),
    "silu": lambda t, x, a, b: t.nn.functional.silu(x),
    "softplus": lambda t, x, a, b: t.nn.functional.softplus(x),
    "power": lambda t, x, a, b: x.tanh() ** (a % 4),
    "scale": lambda t, x, a, b: x * (a % 7 - 3) / 3,
    "mean": lambda t, x, a, b: x.mean(axis_of(x, a), keepdim=bool(b % 2)) if has_elements(x) else None,
    "softmax": lambda t, x, a, b: x.softmax(axis_of(x, a)),
    "log_softmax": lambda t, x, a, b: x.log_softmax(axis_of(x, a)),
    "logsumexp": lambda t, x, a, b: x.logsumexp(axis_of(x, a)),
    "prod": lambda t, x, a, b: (x.tanh() + 1.5).prod(axis_of(x, a)),
    "cumprod": lambda t, x, a, b: (x.tanh() + 1.5).cumprod(axis_of(x, a)),
    "var": lambda t, x, a, b: x.var(axis_of(x, a), correction=0) if has_elements(x) else None,
    "norm": lambda t, x, a, b: (x * x + 1).norm(dim=axis_of(x, a)),
    "layer_norm": lambda t, x, a, b: t.nn.functional.layer_norm(x, x.shape[-1:], eps=0.1) if x.ndim and has_elements(x) else None,
    "gram": lambda t, x, a, b: x @ x.mT if x.ndim >= 2 else None,
    "tensordot": lambda t, x, a, b: t.einsum("i...,j...->ij", x, x) if x.ndim else None,
    "conv": lambda t, x, a, b: t.nn.functional.conv1d(x.reshape(1, 1, -1), x.reshape(-1)[:2].reshape(1, 1, -1), padding=1).reshape(-1) if x.numel() >= 2 else None,
    "avg_pool": lambda t, x, a, b: t.nn.functional.avg_pool1d(x.reshape(1, 1, -1), 2, 1)[0, 0] if x.numel() >= 2 else None,
}  # fmt: skip

# Exact where both operands are; a product of exact tensors is exact while it is small.
EXACT_BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda t, x, y, a, b: x + y,
    "sub": lambda t, x, y, a, b: x - y if x.dtype != t.bool else x ^ y,
    "mul": lambda t, x, y, a, b: x * y,
    "maximum": lambda t, x, y, a, b: t.maximum(x, y),
    "minimum": lambda t, x, y, a, b: t.minimum(x, y),
    "less": lambda t, x, y, a, b: x < y,
    "equal": lambda t, x, y, a, b: x == y,
    "choose": lambda t, x, y, a, b: t.where(x > y, x, y),
    "cat": lambda t, x, y, a, b: t.cat([x.reshape(-1), y.reshape(-1), x.reshape(-1)]),
    "stack": lambda t, x, y, a, b: t.stack(t.broadcast_tensors(x, y), a % 2),
    "lerp": lambda t, x, y, a, b: t.lerp(x, y, 0.5) if is_real(x) else None,
    "addcmul": lambda t, x, y, a, b: t.addcmul(x, y, y, value=0.5) if is_real(x) else None,
}  # fmt: skip
KINKED_BINARY = {"maximum", "minimum", "less", "equal", "choose"}

SMOOTH_BINARY: dict[str, Callable[..., Any]] = {
    "divide": lambda t, x, y, a, b: x / (y * y + 0.5),
    "logaddexp": lambda t, x, y, a, b: t.logaddexp(x, y),
    "atan2": lambda t, x, y, a, b: t.atan2(x, y * y + 0.5),
    "hypot": lambda t, x, y, a, b: t.hypot(x, y * y + 0.5),
    "outer": lambda t, x, y, a, b: t.outer(x.reshape(-1)[:6], y.reshape(-1)[:6]),
    "dot": lambda t, x, y, a, b: (x * y).sum(),
    "mse": lambda t, x, y, a, b: t.nn.functional.mse_loss(*t.broadcast_tensors(x, y)),
}  # fmt: skip

VIEWS: dict[str, Callable[..., Any]] = {
    "transpose": lambda t, x, a, b: x.transpose(axis_of(x, a), axis_of(x, b)),
    "select": lambda t, x, a, b: x.select(axis_of(x, a), b % x.shape[axis_of(x, a)]) if x.ndim and x.shape[axis_of(x, a)] else None,
    "slice": lambda t, x, a, b: x[a % 3 :: 1 + b % 2] if x.ndim else None,
    "narrow": lambda t, x, a, b: x[..., a % 2 : 1 + a % 2 + b % 2] if x.ndim else None,
    "flatten": lambda t, x, a, b: x.reshape(-1),
    "column": lambda t, x, a, b: x.reshape(-1, 1),
    "unsqueeze": lambda t, x, a, b: x.unsqueeze(a % (x.ndim + 1)),
    "squeeze": lambda t, x, a, b: x.squeeze(),
    "expand": lambda t, x, a, b: x.expand(2, *x.shape),
    "diagonal": lambda t, x, a, b: x.diagonal(a % 3 - 1) if x.ndim >= 2 else None,
    "unfold": lambda t, x, a, b: x.unfold(0, 2, 1 + a % 2) if x.ndim and x.shape[0] >= 2 else None,
    "detach": lambda t, x, a, b: x.detach(),
    "permute": lambda t, x, a, b: x.permute(tuple(range(x.ndim)[::-1])),
    "view_as_rows": lambda t, x, a, b: x.contiguous().view(x.shape[0], -1) if x.ndim and has_elements(x) else None,
}  # fmt: skip


def overlaps_itself(x: Any) -> bool:
    """Whether two elements of `x` share memory."""
    places = [0]
    for n, stride in zip(x.shape, x.stride()):
        places = [place + i * stride for place in places for i in range(n)]
    return len(set(places)) < len(places)


WRITES: dict[str, Callable[..., Any]] = {
    "add_": lambda t, x, y, a, b: x.add_(y),
    "mul_": lambda t, x, y, a, b: x.mul_(y),
    "copy_": lambda t, x, y, a, b: x.copy_(y),
    "fill_": lambda t, x, y, a, b: x.fill_(a % 3),
    "zero_": lambda t, x, y, a, b: x.zero_(),
    "set_first": lambda t, x, y, a, b: x.__setitem__(0, a % 2) if x.ndim and x.shape[0] else None,
    "set_tail": lambda t, x, y, a, b: x.__setitem__((..., slice(a % 2, None)), b % 3) if x.ndim else None,
    "set_mask": lambda t, x, y, a, b: x.__setitem__(x > 0, a % 2),
    "set_list": lambda t, x, y, a, b: x.__setitem__([0, -1], a % 2) if x.ndim and x.shape[0] else None,
    "clamp_": lambda t, x, y, a, b: x.clamp_(-1, 2) if x.dtype != t.bool else None,
    "relu_": lambda t, x, y, a, b: x.relu_() if is_real(x) else None,
    "index_add_": lambda t, x, y, a, b: x.index_add_(0, t.tensor([0, 0]), t.ones_like(x[:1]).expand(2, *x.shape[1:])) if x.ndim and x.shape[0] and x.dtype != t.bool else None,
}  # fmt: skip
KINKED_WRITES = {"set_mask", "clamp_", "relu_"}

WEIGHTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (4, ("create",)),
    (10, tuple(EXACT_UNARY)),
    (8, tuple(SMOOTH_UNARY)),
    (6, tuple(EXACT_BINARY)),
    (4, tuple(SMOOTH_BINARY)),
    (8, tuple(VIEWS)),
    (6, tuple(WRITES)),
    (2, ("read",)),
    (1, ("backward",)),
    (1, ("grad_of_grad",)),
)


def generate(seed: int) -> list[Instruction]:
    """The program of a seed."""
    draw = random.Random(seed)
    kinds = [names for weight, names in WEIGHTS for _ in range(weight)]
    return [
        (draw.choice(draw.choice(kinds)), *(draw.randrange(24) for _ in range(4)))
        for _ in range(draw.randint(4, 28))
    ]


# ---- running -------------------------------------------------------------------------------------


def fresh(run: Run, shape: tuple[int, ...], dtype: str, start: int) -> Any:
    """A tensor of multiples of 1/4, without ties, that `run.data` shifts."""
    count = 1
    for n in shape:
        count *= n
    numbers = [((start * 7 + run.data * 5 + i * 9) % 23 - 11) / 4 for i in range(count)]
    made = run.library.tensor(numbers, dtype=run.library.float64).reshape(shape)
    if dtype == "int64":
        made = made * 4
    return made.to(getattr(run.library, dtype)).clone()


def create(run: Run, shape: tuple[int, ...], dtype: str, start: int, gradient: bool) -> None:
    """Make a tensor; one that needs a gradient is a leaf of the program."""
    made = fresh(run, shape, dtype, start)
    if gradient and is_real(made):
        made.requires_grad_()
        run.leaves.append(made)
    run.add(made, EXACT)


def start(run: Run) -> None:
    """What every program begins with."""
    create(run, (2, 3), "float64", 1, True)
    create(run, (3,), "float64", 2, False)


def execute(run: Run, instruction: Instruction) -> Any:
    """Run one instruction; returns what it read, its exception, or None."""
    try:
        return _execute(run, instruction)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return error


def _execute(run: Run, instruction: Instruction) -> Any:
    name, a, b, c, d = instruction
    t = run.library
    if name == "create":
        create(run, SHAPES[a % len(SHAPES)], DTYPES[b % len(DTYPES)], c, bool(d % 2))
        return None
    if name == "backward":
        return backward(run)
    x = run.pick(a)
    if name == "read":
        return x.tensor.detach().tolist()
    if name == "grad_of_grad":
        return grad_of_grad(run, x)
    if name in VIEWS:
        viewed = VIEWS[name](t, x.tensor, c, d)
        if viewed is not None:
            run.add(viewed, x.exact, x.family)
        return None
    if name in WRITES:
        return write(run, name, x, b, c, d)
    return compute(run, name, x, b, c, d)


def compute(run: Run, name: str, x: Value, b: int, c: int, d: int) -> None:
    """Record one operation that makes a tensor of its own."""
    t = run.library
    # Of a transposed operand PyTorch's result is transposed, ours is row-major.
    operand = x.tensor.contiguous()
    if name in SMOOTH_UNARY:
        made = SMOOTH_UNARY[name](t, operand, c, d) if is_real(operand) else None
        exact = SMOOTH
    elif name in EXACT_UNARY:
        made = EXACT_UNARY[name](t, operand, c, d) if x.exact else None
        exact = EXACT
    else:
        y = run.partner(x, b)
        if y is None:
            return
        other = y.tensor.contiguous()
        if name in SMOOTH_BINARY:
            made = SMOOTH_BINARY[name](t, operand, other, c, d) if is_real(operand) else None
            exact = SMOOTH
        else:
            exact = x.exact and y.exact
            jumps = name in KINKED_BINARY and not exact
            made = None if jumps else EXACT_BINARY[name](t, operand, other, c, d)
    if made is not None:
        if made.is_floating_point() and made.dtype == t.float32:
            exact = SMOOTH if name in ("mul", "addcmul", "lerp") else exact
        run.add(made, exact and run.still_exact(made))


def has_few_bits(x: Any) -> bool:
    """Whether sums and products of some elements lose nothing in the tensor's dtype."""
    if not x.is_floating_point() or not x.numel():
        return True
    largest, steps = (2.0**16, 256) if x.element_size() == 8 else (2.0**8, 64)
    numbers = x.detach().reshape(-1).tolist()
    return all(abs(n) < largest and n * steps == int(n * steps) for n in numbers)


def write(run: Run, name: str, x: Value, b: int, c: int, d: int) -> None:
    """Run one in-place operation; what shares memory with its target is exact no more."""
    t = run.library
    if overlaps_itself(x.tensor) or (name in KINKED_WRITES and not x.exact):
        return
    y = run.partner(x, b)
    source = x if y is None else y
    operand = source.tensor
    if source.family == x.family:
        operand = operand.detach().clone()
    if not fits(operand.shape, x.tensor.shape):
        return
    _ = x.tensor.grad_fn  # PyTorch brings a view's history up to date when it is asked for it
    WRITES[name](t, x.tensor, operand, c, d)
    stays = source.exact and name != "mul_"
    for value in run.values:
        if value.family == x.family:
            value.exact = value.exact and stays


def fits(source: Any, target: Any) -> bool:
    """Whether `source` expands to `target`."""
    return len(source) <= len(target) and all(
        m in (1, n) for m, n in zip(reversed(source), reversed(target))
    )


def loss_of(run: Run) -> Any:
    """A bounded scalar of everything that needs a gradient."""
    total = None
    for place, value in enumerate(run.values):
        if value.tensor.requires_grad:
            part = (value.tensor.to(run.library.float64).contiguous() * (place % 5 + 1) / 4).sum()
            total = part if total is None else total + part
    return total


def backward(run: Run) -> Any:
    """Accumulate gradients; returns them."""
    total = loss_of(run)
    if total is None:
        return None
    total.backward(retain_graph=True)
    return gradients(run)


def gradients(run: Run) -> list[Any]:
    """The gradients of the leaves, as nested lists."""
    return [None if x.grad is None else x.grad.tolist() for x in run.leaves]


def grad_of_grad(run: Run, x: Value) -> Any:
    """Differentiate the squared gradient of `x`'s sum, for each leaf it depends on."""
    if not x.tensor.requires_grad:
        return None
    scalar = x.tensor.contiguous().to(run.library.float64).tanh().sum()
    options = {"create_graph": True, "allow_unused": True}
    first = run.library.autograd.grad(scalar, run.leaves, **options)
    parts = [(g * g).sum() for g in first if g is not None and g.requires_grad]
    if not parts:
        return [None if g is None else g.detach().tolist() for g in first]
    second = run.library.autograd.grad(sum(parts), run.leaves, allow_unused=True, retain_graph=True)
    return [None if g is None else g.tolist() for g in second]
