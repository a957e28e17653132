"""`ExportedProgram`: a graph, its values, and what its inputs are.  Level: export (12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.export.generalizing import Sizes
from rushlight.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node, map_arg
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.tensor.tensor import Tensor

_PREFIXES = {
    InputKind.PARAMETER: "p_", InputKind.BUFFER: "b_", InputKind.CONSTANT_TENSOR: "c_",
}  # fmt: skip


class ExportedProgram:
    """What `torch.export.export` returns.

    graph_module: takes parameters, buffers, constants and then the inputs, and gives a flat tuple.
    graph_signature: says which is which.  state_dict, constants: their values.
    """

    def __init__(
        self,
        graph: Graph,
        arguments: Any,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        constants: dict[str, Tensor],
        example_inputs: Any = None,
        sizes: Sizes | None = None,
    ) -> None:
        self._recorded = graph
        self._arguments = arguments
        self._parameters, self._buffers = parameters, buffers
        self.constants = constants
        self.example_inputs = example_inputs
        self._sizes = sizes
        self.range_constraints: dict[Any, Any] = {} if sizes is None else dict(sizes.ranges)
        self.graph_module, self.graph_signature = self._lifted()

    def _kind(self, name: str) -> InputKind:
        if name in self._parameters:
            return InputKind.PARAMETER
        return InputKind.BUFFER if name in self._buffers else InputKind.CONSTANT_TENSOR

    def _lifted(self) -> tuple[GraphModule, ExportGraphSignature]:
        """The graph with its values as inputs."""
        graph = Graph()
        made: dict[Node, Node] = {}
        inputs: list[InputSpec] = []
        nodes = list(self._recorded.nodes)
        order = {InputKind.PARAMETER: 0, InputKind.BUFFER: 1, InputKind.CONSTANT_TENSOR: 2}
        for node in sorted(
            (n for n in nodes if n.op == "get_attr"), key=lambda n: order[self._kind(n.target)]
        ):
            kind = self._kind(node.target)
            made[node] = graph.placeholder(_PREFIXES[kind] + node.target.replace(".", "_"))
            inputs.append(InputSpec(kind, TensorArgument(made[node].name), node.target))
        for node in nodes:
            if node.op == "placeholder":
                made[node] = graph.placeholder(node.target)
                inputs.append(
                    InputSpec(InputKind.USER_INPUT, TensorArgument(made[node].name), None)
                )
        outputs: list[OutputSpec] = []
        for node in nodes:
            if node.op == "output":
                flat = [map_arg(x, lambda n: made[n]) for x in leaves(node.args[0])]
                graph.output(tuple(flat))
                for value in flat:
                    is_tensor = isinstance(value, Node)
                    arg = TensorArgument(value.name) if is_tensor else ConstantArgument("", value)
                    outputs.append(OutputSpec(OutputKind.USER_OUTPUT, arg))
            elif node not in made:
                made[node] = graph.node_copy(node, lambda n: made[n])
            made.setdefault(node, node)
            made[node].meta.update(node.meta)
        return GraphModule({}, graph), ExportGraphSignature(inputs, outputs)

    @property
    def graph(self) -> Graph:
        """The graph of `graph_module`."""
        return self.graph_module.graph

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by their names."""
        return {**self._parameters, **self._buffers}

    @property
    def tensor_constants(self) -> dict[str, Tensor]:
        """Tensors that the graph uses and the module does not own."""
        return self.constants

    def parameters(self) -> Iterator[Tensor]:
        """The parameters."""
        return iter(self._parameters.values())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters with their names."""
        return iter(self._parameters.items())

    def buffers(self) -> Iterator[Tensor]:
        """The buffers."""
        return iter(self._buffers.values())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names."""
        return iter(self._buffers.items())

    def module(self) -> Module:
        """A module that computes the program, whose parameters are the program's."""
        return ExportedModule(self)

    def run_decompositions(self, decomp_table: Any = None) -> ExportedProgram:
        """The program itself: its operations are PyTorch's functions."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Unable to call ExportedProgram directly. You should use `exported_program.module()` "
            "instead."
        )

    def __str__(self) -> str:
        body = "\n".join(f"    {line}" for line in self.graph_module.code.strip().splitlines())
        return (
            f"ExportedProgram:\n    class GraphModule(torch.nn.Module):\n{body}\n\n"
            f"Graph signature: {self.graph_signature}\n"
            f"Range constraints: {self.range_constraints}\n"
        )

    __repr__ = __str__


class ExportedModule(Module):
    """The module of an exported program: it checks its inputs and runs the graph."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self._program_arguments = program._arguments
        names: dict[str, str] = {}
        for path, value in {**program._parameters, **program._buffers}.items():
            owner, _, last = path.rpartition(".")
            place: Module = self
            for part in filter(None, owner.split(".")):
                if part not in place._modules:
                    place.add_module(part, Module())
                place = place._modules[part]  # type: ignore[assignment]
            if path in program._parameters:
                place.register_parameter(last, value if isinstance(value, Parameter) else
                                         Parameter(value))  # fmt: skip
            else:
                place.register_buffer(last, value)
            names[path] = path
        self._tensors = program.constants
        self._graph = program._recorded
        inputs = [node for node in program._recorded.nodes if node.op == "placeholder"]
        sizes = program._sizes
        axes = [{} for _ in inputs] if sizes is None else sizes.axes
        self._axes = dict(zip(inputs, axes))
        self._ranges = {} if sizes is None else sizes.ranges

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the exported call gives for other values.

        Raises: RuntimeError for structures, shapes and numbers other than the example's, dynamic
        sizes apart.
        """
        given: dict[Node, Any] = {}
        expected, named = self._program_arguments
        _match(tuple(expected), args, given, "args")
        _match(named, kwargs, given, "kwargs")
        self._check_sizes(given)
        return self._run(given)

    def _check_sizes(self, given: dict[Node, Any]) -> None:
        """Raises: RuntimeError for a size other than the example's, or one that may not be."""
        values: dict[Any, tuple[int, str]] = {}
        for node, tensor in given.items():
            axes = self._axes[node]
            shape = node.meta["shape"]
            fits = tensor.dim() == len(shape) and all(
                axis in axes or size == shape[axis] for axis, size in enumerate(tensor.shape)
            )
            if not fits:
                raise RuntimeError(
                    f"Guard failed: {node.name} must be a tensor of size"
                    f" {[axes.get(i, n) for i, n in enumerate(shape)]}, got {list(tensor.shape)}"
                )
            for axis, term in axes.items():
                symbol = term.symbol
                size, place = tensor.shape[axis], f"{node.name}.size()[{axis}]"
                value = term.inverse(size)
                bounds = self._ranges[symbol]
                known = values.setdefault(symbol, (-1 if value is None else value, place))
                if known[0] != value:
                    raise RuntimeError(
                        f"Guard failed: {place} == {term} where {symbol} is {known[0]}, as"
                        f" {known[1]} says; it is {size}"
                    )
                if not bounds.lower <= value <= bounds.upper:
                    raise RuntimeError(
                        f"Guard failed: {place} is {size}, and {symbol.label} is in {bounds}"
                    )

    def _run(self, values: dict[Node, Any]) -> Any:
        for node in self._graph.nodes:
            if node.op == "get_attr":
                values[node] = self._value(node.target)
            elif node.op == "call_function":
                args = map_arg(node.args, lambda n: values[n])
                kwargs = map_arg(dict(node.kwargs), lambda n: values[n])
                values[node] = node.target(*args, **kwargs)
            elif node.op == "output":
                return map_arg(node.args[0], lambda n: values[n])
        return None

    def _value(self, name: str) -> Tensor:
        if name in self._tensors:
            return self._tensors[name]
        owner, _, last = name.rpartition(".")
        return getattr(self.get_submodule(owner), last)


def _match(expected: Any, value: Any, given: dict[Node, Any], where: str) -> None:
    """Bind inputs to their nodes; all else must be what the example was."""
    if isinstance(expected, Node):
        if not isinstance(value, Tensor):
            raise RuntimeError(
                f"Guard failed: {where} must be a tensor, as in the example, got"
                f" {type(value).__name__}"
            )
        given[expected] = value
    elif isinstance(expected, dict):
        if not isinstance(value, dict) or set(value) != set(expected):
            raise RuntimeError(f"Guard failed: {where} must have the keys {sorted(expected)}")
        for key, part in expected.items():
            _match(part, value[key], given, f"{where}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(expected):
            raise RuntimeError(f"Guard failed: {where} must have {len(expected)} entries")
        for place, (part, one) in enumerate(zip(expected, value)):
            _match(part, one, given, f"{where}[{place}]")
    elif expected != value:
        raise RuntimeError(f"Guard failed: {where} was {expected!r} in the example, got {value!r}")


def leaves(value: Any) -> list:
    """The parts of a structure, in order."""
    if isinstance(value, dict):
        return [x for part in value.values() for x in leaves(part)]
    if isinstance(value, (list, tuple)):
        return [x for part in value for x in leaves(part)]
    return [value]
