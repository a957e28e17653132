"""FlopCounterMode: multiplications and additions of matrix products and convolutions.  Level 12.

In: what is recorded while the mode is entered, in forward and backward. Out: counts for each
primitive, over all and by module. A multiply-add counts as two. The mode sees operations where
function transforms see them, so programs that do not count pay nothing. Source:
torch.utils.flop_counter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import local
from rushlight.transform.interception import Transforms

__all__ = ["FlopCounterMode", "register_flop_formula"]

Formula = Callable[..., int]


def _matmul_flops(shapes: tuple, params: tuple, result: tuple) -> int:
    """(..., m, k) @ (..., k, n), either operand's last axes possibly exchanged."""
    transpose_x = params[0]
    inner = shapes[0][-2] if transpose_x else shapes[0][-1]
    return 2 * math.prod(result) * inner


def _convolution_flops(shapes: tuple, params: tuple, result: tuple) -> int:
    """Each result sums over the kernel's elements and the channels of its group.

    Where zeros are put between the input's elements (transposed convolutions, gradients of strided
    ones), their products do not count.
    """
    dilation = params[2]
    kernel = math.prod(shapes[1][1:])
    if any(step != 1 for step in dilation):
        groups = params[4]
        spread = math.prod(shapes[0]) * shapes[1][0] // groups
        return 2 * spread * math.prod(shapes[1][2:])
    return 2 * math.prod(result) * kernel


#: primitive's name -> function of (shapes of operands, parameters, shape of result).
flop_registry: dict[str, Formula] = {
    "matmul": _matmul_flops,
    "convolution": _convolution_flops,
}


def register_flop_formula(targets: Any, get_raw: bool = False) -> Callable[[Formula], Formula]:
    """Decorator: a formula for primitives by name.

    The formula takes (shapes of operands, parameters, shape of result).
    """
    names = targets if isinstance(targets, (list, tuple)) else [targets]

    def register(formula: Formula) -> Formula:
        for name in names:
            flop_registry[str(name)] = formula
        return formula

    return register


class _Counting(Transforms):
    """Counts what is recorded, and lets it be recorded."""

    __slots__ = ("mode",)

    def __init__(self, mode: FlopCounterMode) -> None:
        super().__init__(local.tape)
        self.mode = mode

    def intercept(self, primitive: Primitive, operands: tuple, params: tuple) -> Any:
        result = super().intercept(primitive, operands, params)
        formula = self.mode.formulas.get(primitive.name)
        if formula is not None:
            shapes = tuple(tuple(x._node.shape) for x in operands)
            first = result[0] if isinstance(result, (tuple, list)) else result
            self.mode.count(primitive.name, formula(shapes, params, tuple(first._node.shape)))
        return result


class FlopCounterMode:
    """A context in which matrix products and convolutions are counted.

    mods: accepted, as in PyTorch; every module that is called is followed.
    depth: how many levels of modules the table shows.  display: print the table on leaving.
    custom_mapping: further formulas, by a primitive's name.
    Raises: RuntimeError if another transform of this thread is active.
    """

    def __init__(
        self,
        mods: Any = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Any] | None = None,
    ) -> None:
        self.depth = depth
        self.display = display
        self.formulas = {**flop_registry, **{str(k): v for k, v in (custom_mapping or {}).items()}}
        self.flop_counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._counting: _Counting | None = None
        self._names: dict[int, str] = {}
        self._parents: list[str] = ["Global"]
        self._call: Any = None

    def count(self, operation: str, flops: int) -> None:
        """Add to the modules that are being called now."""
        for parent in dict.fromkeys(self._parents):
            self.flop_counts[parent][operation] += flops

    def __enter__(self) -> FlopCounterMode:
        if local.tape.transforms is not None:
            raise RuntimeError(
                "FlopCounterMode: a transform of torch.func is active; count outside of it"
            )
        self.flop_counts.clear()
        self._names.clear()
        self._counting = _Counting(self)
        self._follow_modules()
        self._counting.activate()
        return self

    def __exit__(self, *exception: Any) -> None:
        assert self._counting is not None
        self._counting.deactivate()
        self._counting = None
        Module.__call__ = self._call  # type: ignore[method-assign]
        if self.display and exception[:1] in ((), (None,)):
            print(self.get_table(self.depth))  # noqa: T201 - what display asks for

    def _follow_modules(self) -> None:
        mode, plain = self, Module.__call__
        self._call = plain

        def followed(module: Module, *args: Any, **kwargs: Any) -> Any:
            name = mode._name_of(module)
            mode._parents.append(name)
            try:
                return plain(module, *args, **kwargs)
            finally:
                mode._parents.pop()

        Module.__call__ = followed  # type: ignore[method-assign, assignment]

    def _name_of(self, module: Module) -> str:
        name = self._names.get(id(module))
        if name is None:
            name = type(module).__name__
            for path, child in module.named_modules():
                self._names[id(child)] = f"{name}.{path}" if path else name
        return name

    def get_total_flops(self) -> int:
        """All that was counted."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """Counts by module ("Global" for all) and primitive.

        What backward computes is counted for "Global" alone.
        """
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """A table of modules, their counts and their shares."""
        depth = self.depth if depth is None else depth
        total = self.get_total_flops()
        names = [name for name in self.flop_counts if name != "Global"]
        rows = [("Global", total)]
        for name in names:
            if name.count(".") < depth:
                rows.append((name, sum(self.flop_counts[name].values())))
        shown = [("Module", "FLOP", "% Total")]
        for name, flops in rows:
            level = 0 if name == "Global" else 1 + name.count(".")
            share = f"{100 * flops / total:.2f}%" if total else "0%"
            shown.append((" " * level + name, _readable(flops), share))
            if name in self.flop_counts:
                for operation, count in self.flop_counts[name].items():
                    part = f"{100 * count / total:.2f}%" if total else "0%"
                    shown.append((" " * level + f" - {operation}", _readable(count), part))
        widths = [max(len(row[column]) for row in shown) for column in range(3)]
        lines = []
        for place, (name, flops_text, share) in enumerate(shown):
            lines.append(
                f"{name:{widths[0]}}  {flops_text:>{widths[1]}}  {share:>{widths[2]}}".rstrip()
            )
            if place == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines)


def _readable(flops: int) -> str:
    if not flops:
        return "0"
    power = min(int(math.log10(flops)) // 3, 5)
    return f"{flops / 10 ** (3 * power):.3f}{' KMBTQ'[power].strip()}"
