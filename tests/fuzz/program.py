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


# ---- when an operation applies: functions of a tensor --------------------------------------------


def always(x: Any) -> bool:
    return True


def real(x: Any) -> bool:
    return x.is_floating_point()


def boolean(x: Any) -> bool:
    return x.element_size() == 1  # the only such dtype here


def number(x: Any) -> bool:
    return not boolean(x)


def ranked(x: Any) -> bool:
    return x.ndim > 0


def matrix(x: Any) -> bool:
    return x.ndim >= 2


def filled(x: Any) -> bool:
    return x.numel() > 0


def filled_number(x: Any) -> bool:
    return filled(x) and number(x)


def has_rows(x: Any) -> bool:
    return ranked(x) and filled(x)


def number_rows(x: Any) -> bool:
    return has_rows(x) and number(x)


def long(x: Any) -> bool:
    return ranked(x) and x.shape[-1] > 1


def two_rows(x: Any) -> bool:
    return ranked(x) and x.shape[0] >= 2


def two_elements(x: Any) -> bool:
    return x.numel() >= 2


# ---- computations: (when it applies, function of library, x, a, b) -------------------------------


def to_bfloat16_and_back(t: Any, x: Any, a: int, b: int) -> Any:
    return x.clamp(-8, 8).to(t.bfloat16).to(t.float64)


def convolved_with_its_start(t: Any, x: Any, a: int, b: int) -> Any:
    signal = x.reshape(1, 1, -1)
    return t.nn.functional.conv1d(signal, signal[..., :2], padding=1).reshape(-1)


def averaged_in_pairs(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.avg_pool1d(x.reshape(1, 1, -1), 2, 1)[0, 0]


def normalized(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.layer_norm(x, x.shape[-1:], eps=0.1)


def rows_selected(t: Any, x: Any, a: int, b: int) -> Any:
    return x.index_select(0, t.tensor([a % x.shape[0], 0]))


def sorted_stably(t: Any, x: Any, a: int, b: int) -> Any:
    return x.sort(dim=axis_of(x, a), descending=bool(b % 2), stable=True)[0]


Rule = tuple[Callable[[Any], bool], Callable[..., Any]]

EXACT_UNARY: dict[str, Rule] = {
    "neg": (number, lambda t, x, a, b: -x),
    "invert": (boolean, lambda t, x, a, b: ~x),
    "abs": (number, lambda t, x, a, b: x.abs()),
    "relu": (real, lambda t, x, a, b: x.relu()),
    "sign": (always, lambda t, x, a, b: x.sign()),
    "floor": (real, lambda t, x, a, b: x.floor()),
    "round": (real, lambda t, x, a, b: x.round()),
    "clamp": (number, lambda t, x, a, b: x.clamp(a % 3 - 1, 2 + b % 2)),
    "shift": (real, lambda t, x, a, b: x + (a % 5 - 2) / 4),
    "count": (always, lambda t, x, a, b: x + a % 3),
    "double": (number, lambda t, x, a, b: x * 2),
    "sum": (always, lambda t, x, a, b: x.sum(axis_of(x, a), keepdim=bool(b % 2))),
    "total": (always, lambda t, x, a, b: x.sum()),
    "amax": (filled, lambda t, x, a, b: x.amax(axis_of(x, a), keepdim=bool(b % 2))),
    "max": (has_rows, lambda t, x, a, b: x.max(axis_of(x, a))[0]),
    "argmin": (filled_number, lambda t, x, a, b: x.argmin(axis_of(x, a))),
    "any": (always, lambda t, x, a, b: (x > a % 3 - 1).any(axis_of(x, b))),
    "cumsum": (always, lambda t, x, a, b: x.cumsum(axis_of(x, a))),
    "sort": (always, sorted_stably),
    "argsort": (always, lambda t, x, a, b: x.argsort(dim=axis_of(x, a), stable=True)),
    "topk": (number_rows, lambda t, x, a, b: x.detach().topk(1, axis_of(x, a))[0]),
    "compare": (always, lambda t, x, a, b: x > a % 3 - 1),
    "flip": (ranked, lambda t, x, a, b: x.flip(axis_of(x, a))),
    "roll": (ranked, lambda t, x, a, b: x.roll(a % 3 - 1, axis_of(x, b))),
    "repeat": (always, lambda t, x, a, b: x.repeat(2, *[1] * x.ndim)),
    "triu": (matrix, lambda t, x, a, b: x.triu(a % 3 - 1)),
    "pad": (long, lambda t, x, a, b: t.nn.functional.pad(x, (a % 3 - 1, b % 2))),
    "take": (has_rows, lambda t, x, a, b: x[[0, -1, 0]]),
    "mask": (always, lambda t, x, a, b: x[x > a % 3 - 1]),
    "nonzero": (always, lambda t, x, a, b: x.nonzero()),
    "where": (number, lambda t, x, a, b: t.where(x > a % 3 - 1, x, x * 0)),
    "masked_fill": (always, lambda t, x, a, b: x.masked_fill(x > a % 3 - 1, b % 2)),
    "index_select": (has_rows, rows_selected),
    "clone": (always, lambda t, x, a, b: x.clone()),
    "to_double": (always, lambda t, x, a, b: x.to(t.float64)),
    "to_float": (always, lambda t, x, a, b: x.to(t.float32)),
    "to_int": (always, lambda t, x, a, b: x.to(t.int64)),
    "to_half": (real, to_bfloat16_and_back),
    "unbind": (has_rows, lambda t, x, a, b: x.unbind(0)[a % x.shape[0]].clone()),
    "chunk": (has_rows, lambda t, x, a, b: x.chunk(2, axis_of(x, a))[0].clone()),
    "diff": (number_rows, lambda t, x, a, b: x.diff(dim=axis_of(x, a))),
    "tile": (always, lambda t, x, a, b: x.tile(2)),
}  # fmt: skip

SMOOTH_UNARY: dict[str, Rule] = {
    "exp": (always, lambda t, x, a, b: (-(x * x)).exp()),
    "log": (always, lambda t, x, a, b: (x * x + 0.5).log()),
    "sqrt": (always, lambda t, x, a, b: (x * x + 0.25).sqrt()),
    "rsqrt": (always, lambda t, x, a, b: (x * x + 0.25).rsqrt()),
    "sin": (always, lambda t, x, a, b: x.sin()),
    "cos": (always, lambda t, x, a, b: x.cos()),
    "tanh": (always, lambda t, x, a, b: x.tanh()),
    "sigmoid": (always, lambda t, x, a, b: x.sigmoid()),
    "erf": (always, lambda t, x, a, b: x.erf()),
    "atan": (always, lambda t, x, a, b: x.atan()),
    "gelu": (always, lambda t, x, a, b: t.nn.functional.gelu(x)),
    "silu": (always, lambda t, x, a, b: t.nn.functional.silu(x)),
    "softplus": (always, lambda t, x, a, b: t.nn.functional.softplus(x)),
    "power": (always, lambda t, x, a, b: x.tanh() ** (a % 4)),
    "scale": (always, lambda t, x, a, b: x * (a % 7 - 3) / 3),
    "mean": (filled, lambda t, x, a, b: x.mean(axis_of(x, a), keepdim=bool(b % 2))),
    "softmax": (always, lambda t, x, a, b: x.softmax(axis_of(x, a))),
    "log_softmax": (always, lambda t, x, a, b: x.log_softmax(axis_of(x, a))),
    "logsumexp": (always, lambda t, x, a, b: x.logsumexp(axis_of(x, a))),
    "prod": (always, lambda t, x, a, b: (x.tanh() + 1.5).prod(axis_of(x, a))),
    "cumprod": (always, lambda t, x, a, b: (x.tanh() + 1.5).cumprod(axis_of(x, a))),
    "logcumsumexp": (always, lambda t, x, a, b: x.logcumsumexp(axis_of(x, a))),
    "var": (filled, lambda t, x, a, b: x.var(axis_of(x, a), correction=0)),
    "norm": (always, lambda t, x, a, b: (x * x + 1).norm(dim=axis_of(x, a))),
    "layer_norm": (has_rows, normalized),
    "gram": (matrix, lambda t, x, a, b: x @ x.mT),
    "contract": (ranked, lambda t, x, a, b: t.einsum("i...,j...->ij", x, x)),
    "conv": (two_elements, convolved_with_its_start),
    "avg_pool": (two_elements, averaged_in_pairs),
}  # fmt: skip

# Exact where both operands are; a product of exact tensors is exact while it is small.
EXACT_BINARY: dict[str, Rule] = {
    "add": (always, lambda t, x, y, a, b: x + y),
    "sub": (number, lambda t, x, y, a, b: x - y),
    "xor": (boolean, lambda t, x, y, a, b: x ^ y),
    "mul": (always, lambda t, x, y, a, b: x * y),
    "maximum": (always, lambda t, x, y, a, b: t.maximum(x, y)),
    "minimum": (always, lambda t, x, y, a, b: t.minimum(x, y)),
    "less": (always, lambda t, x, y, a, b: x < y),
    "equal": (always, lambda t, x, y, a, b: x == y),
    "choose": (always, lambda t, x, y, a, b: t.where(x > y, x, y)),
    "cat": (always, lambda t, x, y, a, b: t.cat([x.reshape(-1), y.reshape(-1), x.reshape(-1)])),
    "stack": (always, lambda t, x, y, a, b: t.stack(t.broadcast_tensors(x, y), a % 2)),
    "lerp": (real, lambda t, x, y, a, b: t.lerp(x, y, 0.5)),
    "addcmul": (real, lambda t, x, y, a, b: t.addcmul(x, y, y, value=0.5)),
}  # fmt: skip
KINKED_BINARY = {"maximum", "minimum", "less", "equal", "choose"}
PRODUCTS = {"mul", "lerp", "addcmul"}

SMOOTH_BINARY: dict[str, Rule] = {
    "divide": (always, lambda t, x, y, a, b: x / (y * y + 0.5)),
    "logaddexp": (always, lambda t, x, y, a, b: t.logaddexp(x, y)),
    "atan2": (always, lambda t, x, y, a, b: t.atan2(x, y * y + 0.5)),
    "hypot": (always, lambda t, x, y, a, b: t.hypot(x, y * y + 0.5)),
    "outer": (always, lambda t, x, y, a, b: t.outer(x.reshape(-1)[:6], y.reshape(-1)[:6])),
    "dot": (always, lambda t, x, y, a, b: (x * y).sum()),
    "mse": (always, lambda t, x, y, a, b: t.nn.functional.mse_loss(*t.broadcast_tensors(x, y))),
}  # fmt: skip

VIEWS: dict[str, Rule] = {
    "transpose": (always, lambda t, x, a, b: x.transpose(axis_of(x, a), axis_of(x, b))),
    "select": (has_rows, lambda t, x, a, b: x.select(axis_of(x, a), b % x.shape[axis_of(x, a)])),
    "slice": (ranked, lambda t, x, a, b: x[a % 3 :: 1 + b % 2]),
    "narrow": (ranked, lambda t, x, a, b: x[..., a % 2 : 1 + a % 2 + b % 2]),
    "flatten": (always, lambda t, x, a, b: x.reshape(-1)),
    "column": (always, lambda t, x, a, b: x.reshape(-1, 1)),
    "unsqueeze": (always, lambda t, x, a, b: x.unsqueeze(a % (x.ndim + 1))),
    "squeeze": (always, lambda t, x, a, b: x.squeeze()),
    "expand": (always, lambda t, x, a, b: x.expand(2, *x.shape)),
    "diagonal": (matrix, lambda t, x, a, b: x.diagonal(a % 3 - 1)),
    "unfold": (two_rows, lambda t, x, a, b: x.unfold(0, 2, 1 + a % 2)),
    "detach": (always, lambda t, x, a, b: x.detach()),
    "permute": (always, lambda t, x, a, b: x.permute(tuple(range(x.ndim)[::-1]))),
    "rows": (has_rows, lambda t, x, a, b: x.contiguous().view(x.shape[0], -1)),
}  # fmt: skip


def overlaps_itself(x: Any) -> bool:
    """Whether two elements of `x` share memory."""
    places = [0]
    for n, stride in zip(x.shape, x.stride()):
        places = [place + i * stride for place in places for i in range(n)]
    return len(set(places)) < len(places)


def add_ones_twice(t: Any, x: Any, y: Any, a: int, b: int) -> None:
    ones = t.ones_like(x[:1]).expand(2, *x.shape[1:])
    x.index_add_(0, t.tensor([0, 0]), ones)


WRITES: dict[str, Rule] = {
    "add_": (always, lambda t, x, y, a, b: x.add_(y)),
    "mul_": (always, lambda t, x, y, a, b: x.mul_(y)),
    "copy_": (always, lambda t, x, y, a, b: x.copy_(y)),
    "fill_": (always, lambda t, x, y, a, b: x.fill_(a % 3)),
    "zero_": (always, lambda t, x, y, a, b: x.zero_()),
    "set_first": (has_rows, lambda t, x, y, a, b: x.__setitem__(0, a % 2)),
    "set_tail": (ranked, lambda t, x, y, a, b: x.__setitem__((..., slice(a % 2, None)), b % 3)),
    "set_mask": (always, lambda t, x, y, a, b: x.__setitem__(x > 0, a % 2)),
    "set_list": (has_rows, lambda t, x, y, a, b: x.__setitem__([0, -1], a % 2)),
    "clamp_": (number, lambda t, x, y, a, b: x.clamp_(-1, 2)),
    "relu_": (real, lambda t, x, y, a, b: x.relu_()),
    "index_add_": (number_rows, add_ones_twice),
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
    if gradient and real(made):
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
        applies, view = VIEWS[name]
        if applies(x.tensor):
            run.add(view(t, x.tensor, c, d), x.exact, x.family)
        return None
    if name in WRITES:
        return write(run, name, x, b, c, d)
    if name in EXACT_UNARY or name in SMOOTH_UNARY:
        return compute_from_one(run, name, x, c, d)
    return compute_from_two(run, name, x, b, c, d)


def compute_from_one(run: Run, name: str, x: Value, c: int, d: int) -> None:
    """Record an operation on one tensor."""
    exact = name in EXACT_UNARY
    applies, function = (EXACT_UNARY if exact else SMOOTH_UNARY)[name]
    fitting = x.exact if exact else real(x.tensor)
    if fitting and applies(x.tensor):
        # Of a transposed operand PyTorch's result is transposed, ours is row-major.
        made = function(run.library, x.tensor.contiguous(), c, d)
        run.add(made, exact and run.still_exact(made))


def compute_from_two(run: Run, name: str, x: Value, b: int, c: int, d: int) -> None:
    """Record an operation on two tensors of one dtype."""
    y = run.partner(x, b)
    applies, function = (EXACT_BINARY if name in EXACT_BINARY else SMOOTH_BINARY)[name]
    if y is None or not applies(x.tensor):
        return
    both = x.exact and y.exact
    if (name in KINKED_BINARY and not both) or (name in SMOOTH_BINARY and not real(x.tensor)):
        return
    made = function(run.library, x.tensor.contiguous(), y.tensor.contiguous(), c, d)
    exact = both and name in EXACT_BINARY
    if name in PRODUCTS and made.dtype == run.library.float32:
        exact = SMOOTH  # 24 bits do not hold a product
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
    applies, function = WRITES[name]
    if not applies(x.tensor) or overlaps_itself(x.tensor):
        return
    if name in KINKED_WRITES and not x.exact:
        return
    y = run.partner(x, b)
    source = x if y is None else y
    operand = source.tensor
    if source.family == x.family:
        operand = operand.detach().clone()
    if not fits(operand.shape, x.tensor.shape):
        return
    _ = x.tensor.grad_fn  # PyTorch brings a view's history up to date when it is asked for it
    function(run.library, x.tensor, operand, c, d)
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
        return [None if g is None else g.detach().clone().tolist() for g in first]
    second = run.library.autograd.grad(sum(parts), run.leaves, allow_unused=True, retain_graph=True)
    return [None if g is None else g.clone().tolist() for g in second]
