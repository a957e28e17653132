"""A random program: instructions as tuples of small integers, run the same way by any library.

In: a seed.  Out: a list of (name, a, b, c, d); the integers choose operands, axes and sizes modulo
what there is, so that every sublist of a program is a program again, which makes shrinking easy.

Kinds of values are kept apart, so that rounding cannot turn into a large difference: an *exact*
tensor holds multiples of 1/4 that every library computes alike; only those meet functions with
jumps or kinks (`sign`, `max`, sorting).  Everything else is smooth where it is used.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.operations import (
    EVERYWHERE,
    EXACT_BINARY,
    EXACT_UNARY,
    KINKED_BINARY,
    KINKED_WRITES,
    MIXED,
    PRODUCTS,
    VIEWS,
    WRITES,
    overlaps_itself,
    real,
)
from tests.fuzz.smooth import RARE, SMOOTH_BINARY, SMOOTH_UNARY

# Simple ones first: shrinking replaces a size by an earlier one.  Some exceed a vector register's
# lanes, or end in a part of one.
SHAPES = (
    (4,), (2, 3), (), (0, 3), (3,), (3, 2), (2, 3, 2), (1, 3), (3, 1), (5,), (2, 1, 4), (1,),
    (17,), (2, 33), (9, 8), (65, 2), (3, 64), (130,), (0,), (4, 3, 5), (2, 2, 2, 3),
)  # fmt: skip
# What sizes above 1 become in a program that begins with other sizes.
OTHER_SIZES = (2, 3, 5, 4, 7, 1, 9, 6, 17, 12, 33, 24)
# For each shape, the places of those with as many axes.
SAME_RANK = [[i for i, s in enumerate(SHAPES) if len(s) == len(shape)] for shape in SHAPES]
DTYPES = (
    "float32", "float64", "int64", "bool", "float16", "bfloat16", "int32", "int16", "int8", "uint8",
)  # fmt: skip
# What a program's tensors are made of, as places in DTYPES, by weight.
PALETTES = (
    (5, (0,)),
    (3, (1,)),
    (3, (0, 0, 2, 3)),
    (2, (1, 0, 2, 3)),
    (1, (4, 4, 0)),
    (1, (5, 5, 0)),
    (1, (2, 6, 7, 8, 9, 3)),
    (1, (6, 0, 8, 9)),
)
MOST_ELEMENTS = 600
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

    renamed: sizes that leaves have instead of their own; see `other_sizes`.
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
    optimizers: dict[str, Any] = field(default_factory=dict)
    renamed: dict[int, int] = field(default_factory=dict)

    def pick(self, index: int) -> Value:
        """The operand an integer stands for."""
        return self.values[index % len(self.values)]

    def partner(self, x: Value, index: int, mixed: bool = False) -> Value | None:
        """An operand that broadcasts with `x`, the search starting at `index`.

        mixed: it may have another dtype.
        """
        for step in range(len(self.values)):
            y = self.values[(index + step) % len(self.values)]
            same = mixed or y.tensor.dtype == x.tensor.dtype
            if same and broadcasts(x.tensor.shape, y.tensor.shape):
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


WEIGHTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (4, ("create",)),
    (10, tuple(EXACT_UNARY)),
    (7, tuple(name for name in SMOOTH_UNARY if name not in RARE)),
    (1, tuple(RARE)),
    (7, tuple(EXACT_BINARY)),
    (4, tuple(SMOOTH_BINARY)),
    (1, tuple(MIXED)),
    (8, tuple(VIEWS)),
    (6, tuple(WRITES)),
    (2, ("read",)),
    (1, ("backward",)),
    (1, ("grad_of_grad",)),
    (1, ("optimize",)),
)
LENGTHS = (4, 28)


def generate(seed: int, lengths: tuple[int, int] = LENGTHS) -> list[Instruction]:
    """The program of a seed: two tensors, then from `lengths[0]` to `lengths[1]` instructions."""
    draw = random.Random(seed)
    kinds = [names for weight, names in WEIGHTS for _ in range(weight)]
    (palette,) = draw.choices([p for _, p in PALETTES], [weight for weight, _ in PALETTES])
    names = ["create", "create"]
    names += [draw.choice(draw.choice(kinds)) for _ in range(draw.randint(*lengths))]
    program = []
    for name in names:
        a, b, c, d = (draw.randrange(24) for _ in range(4))
        if name == "create":
            b = draw.choice(palette)
        program.append((name, a, b, c, d))
    return program


def with_other_sizes(program: list[Instruction], seed: int) -> list[Instruction]:
    """A program of tensors of the same ranks: another one, that needs few other kernels."""
    draw = random.Random(seed)
    return [
        (name, draw.choice(SAME_RANK[a % len(SHAPES)]), *rest)
        if name == "create"
        else (name, a, *rest)
        for name, a, *rest in program
    ]


def other_sizes(seed: int) -> Instruction:
    """The first instruction of a program whose leaves have other sizes: equal ones stay equal."""
    draw = random.Random(seed)
    a, b, c, d = (draw.randrange(1, 1 << 16) for _ in range(4))
    return ("sizes", a, b, c, d)


def rename_sizes(run: Run, numbers: tuple[int, ...]) -> None:
    """Draw what each size above 1 becomes; all zeros: the sizes stay."""
    if not any(numbers):
        return
    draw = random.Random(repr(numbers))
    for n in sorted({n for shape in SHAPES for n in shape if n > 1}):
        run.renamed[n] = draw.choice(OTHER_SIZES)


# ---- running -------------------------------------------------------------------------------------


def fresh(run: Run, shape: tuple[int, ...], dtype: str, start: int) -> Any:
    """A tensor of multiples of 1/4, most without ties, that `run.data` shifts."""
    renamed = tuple([run.renamed.get(n, n) for n in shape])
    shape = renamed if math.prod(renamed) <= MOST_ELEMENTS else shape
    count = math.prod(shape)
    numbers = [((start * 7 + run.data * 5 + i * 9) % 23 - 11) / 4 for i in range(count)]
    if dtype == "bool":
        numbers = [n > 0 for n in numbers]
    elif dtype == "uint8":
        numbers = [abs(n) * 4 for n in numbers]
    elif "int" in dtype:
        numbers = [n * 4 for n in numbers]
    made = run.library.tensor(numbers, dtype=run.library.float64).reshape(shape)
    return made.to(getattr(run.library, dtype)).clone()


def create(run: Run, shape: tuple[int, ...], dtype: str, start: int, gradient: bool) -> None:
    """Make a tensor; one that needs a gradient is a leaf of the program."""
    made = fresh(run, shape, dtype, start)
    if gradient and real(made):
        made.requires_grad_()
        run.leaves.append(made)
    run.add(made, EXACT)


def execute(run: Run, instruction: Instruction) -> Any:
    """Run one instruction; returns what it read, its exception, or None."""
    try:
        return _execute(run, instruction)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        # Without its traceback, which would keep the tensors of every frame.
        return error.with_traceback(None)


def _execute(run: Run, instruction: Instruction) -> Any:
    name, a, b, c, d = instruction
    t = run.library
    if name == "create":
        create(run, SHAPES[a % len(SHAPES)], DTYPES[b % len(DTYPES)], c, bool(d % 2))
        return None
    if name == "sizes":
        rename_sizes(run, (a, b, c, d))
        return None
    if name == "backward":
        return backward(run)
    if name == "optimize":
        return optimize(run, a, b)
    if not run.values:
        return None
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


def row_by_row(x: Any) -> Any:
    """The tensor in row-major memory.

    PyTorch's results may be transposed, as those of transposed operands, `rot90` or `qr`; ours
    never are.  A later reshape would copy there and be a view here, which a write then shows.
    """
    return x.contiguous()


def compute_from_one(run: Run, name: str, x: Value, c: int, d: int) -> None:
    """Record an operation on one tensor."""
    exact = name in EXACT_UNARY
    applies, function = (EXACT_UNARY if exact else SMOOTH_UNARY)[name]
    fitting = x.exact or name in EVERYWHERE if exact else real(x.tensor)
    if fitting and applies(x.tensor):
        made = row_by_row(function(run.library, row_by_row(x.tensor), c, d))
        run.add(made, exact and x.exact and run.still_exact(made))


def compute_from_two(run: Run, name: str, x: Value, b: int, c: int, d: int) -> None:
    """Record an operation on two tensors."""
    y = run.partner(x, b, name in MIXED)
    applies, function = {**EXACT_BINARY, **SMOOTH_BINARY, **MIXED}[name]
    if y is None or not applies(x.tensor):
        return
    both = x.exact and y.exact
    if (name in KINKED_BINARY and not both) or (name in SMOOTH_BINARY and not real(x.tensor)):
        return
    made = row_by_row(function(run.library, row_by_row(x.tensor), row_by_row(y.tensor), c, d))
    exact = both and name not in SMOOTH_BINARY
    if name in PRODUCTS and made.is_floating_point() and made.element_size() < 8:
        exact = SMOOTH  # 24 bits do not hold a product
    run.add(made, exact and run.still_exact(made))


def has_few_bits(x: Any) -> bool:
    """Whether sums and products of some elements lose nothing in the tensor's dtype."""
    if not x.is_floating_point() or not x.numel():
        return True
    largest, steps = {8: (2.0**16, 256), 4: (2.0**8, 64), 2: (2.0**3, 4)}[x.element_size()]
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
    if needs_no_history(run, x) and d % 8:
        with run.library.no_grad():
            function(run.library, x.tensor, operand, c, d)
    else:
        function(run.library, x.tensor, operand, c, d)
    stays = source.exact and name != "mul_" and not is_half(x.tensor)
    for value in run.values:
        if value.family == x.family:
            value.exact = value.exact and stays


def needs_no_history(run: Run, x: Value) -> bool:
    """Whether writing to `x` would write to a leaf, which is refused while gradients are on."""
    return any(v.family == x.family for v in run.values if is_leaf(run, v))


def is_half(x: Any) -> bool:
    """Whether a tensor holds floating numbers of 16 bits."""
    return x.is_floating_point() and x.element_size() == 2


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


def optimize(run: Run, kind: int, again: int) -> Any:
    """Accumulate gradients and let an optimizer step; histories end here."""
    total = loss_of(run)
    if total is None:
        return None
    total.backward()
    name = OPTIMIZERS[kind % len(OPTIMIZERS)]
    optimizer = run.optimizers.get(name)
    if optimizer is None:
        optimizer = make_optimizer(run.library.optim, name, run.leaves)
        run.optimizers[name] = optimizer
    optimizer.step()
    answer = gradients(run)
    if again % 2:
        optimizer.zero_grad(set_to_none=again % 3 == 0)
    stepped = {v.family for v in run.values if is_leaf(run, v)}
    for value in run.values:
        value.exact = value.exact and value.family not in stepped
        if not is_leaf(run, value):
            value.tensor = value.tensor.detach()
    return answer


def is_leaf(run: Run, value: Value) -> bool:
    """Whether a value is one of the tensors that gradients accumulate in."""
    return any(value.tensor is leaf for leaf in run.leaves)


OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")


def make_optimizer(optim: Any, name: str, leaves: list[Any]) -> Any:
    """An optimizer whose steps depend smoothly on small gradients."""
    if name == "SGD":
        return optim.SGD(leaves, lr=0.125, momentum=0.5, nesterov=True, weight_decay=0.25)
    return getattr(optim, name)(leaves, lr=0.1, eps=0.5, weight_decay=0.1)


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
