"""GraphModule: a module whose `forward` is the code of a graph.  Level 12."""

from __future__ import annotations

import copy
import itertools
import linecache
from collections.abc import Callable
from types import CodeType
from typing import Any

from rushlight.fx.graph import Graph, PythonCode, _emit
from rushlight.nn.modules.module import Module
from rushlight.tensor.tensor import Tensor

__all__ = ["GraphModule", "reduce_graph_module"]

_count = itertools.count()


def _compiled(code: PythonCode) -> Callable[..., Any]:
    """The `forward` of a text; its lines are shown in tracebacks."""
    name = f"<eval_with_key>.{next(_count)}"
    linecache.cache[name] = (len(code.src), None, code.src.splitlines(keepends=True), name)
    scope = dict(code.globals)
    made: CodeType = compile(code.src, name, "exec")
    exec(made, scope)
    return scope["forward"]


def _copy_attribute(source: Any, target: Module, path: str) -> None:
    """Give a module what another has at a dotted path, making empty modules on the way."""
    *parents, name = path.split(".")
    for part in parents:
        following = getattr(source, part)
        own = getattr(target, part, None)
        if own is following:
            return
        if own is None:
            own = Module()
            setattr(target, part, own)
        source, target = following, own
    value = getattr(source, name)
    if isinstance(value, Tensor) and name in getattr(source, "_buffers", {}):
        persistent = name not in source._non_persistent_buffers_set
        target.register_buffer(name, value, persistent=persistent)
    elif isinstance(value, Tensor) and name not in getattr(source, "_parameters", {}):
        target.register_buffer(name, value)
    else:
        setattr(target, name, value)


class GraphModule(Module):
    """A graph with the modules and tensors that it uses.

    root: the module, or a dictionary from names, to take those from.
    class_name: how the class is called.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # A class of its own: `forward` is an attribute of the class.
        kind = cls
        while getattr(kind, "_is_of_one_graph", False):
            kind = kind.__bases__[0]
        own = type("GraphModuleImpl", (kind,), {"_is_of_one_graph": True})
        return super().__new__(own)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = class_name
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    _copy_attribute(root, self, node.target)
        elif isinstance(root, dict):
            self._take_from(root, graph)
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.graph = graph

    def _take_from(self, root: dict[str, Any], graph: Graph) -> None:
        wanted = [n.target for n in graph.nodes if n.op in ("get_attr", "call_module")]
        missing = [target for target in wanted if target not in root]
        if missing:
            raise RuntimeError(
                f"GraphModule: the graph refers to {missing[0]}, which is not among the given"
                f" names {sorted(root)}"
            )
        for target in sorted(wanted, key=lambda text: text.count(".")):
            *parents, name = target.split(".")
            owner: Module = self
            for part in parents:
                if not hasattr(owner, part):
                    setattr(owner, part, Module())
                owner = getattr(owner, part)
            setattr(owner, name, root[target])

    @property
    def graph(self) -> Graph:
        """The graph; setting another one writes the code anew."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The source of `forward`."""
        return self._code

    def recompile(self) -> PythonCode:
        """Write and compile the code again, after the graph was changed."""
        code = self._graph.python_code("self")
        self._code = code.src
        type(self).forward = _compiled(code)  # type: ignore[method-assign]
        return code

    def print_readable(self, print_output: bool = True, **options: Any) -> str:
        """The module's code as text, and on the screen."""
        body = self._code.replace("\n", "\n    ")
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {body.strip()}\n"
        if print_output:
            _emit(text)
        return text

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a dotted path; False if something else is in the way."""
        *parents, name = target.split(".")
        owner: Module = self
        for part in parents:
            following = getattr(owner, part, None)
            if following is None:
                following = Module()
                setattr(owner, part, following)
            if not isinstance(following, Module):
                return False
            owner = following
        owner.add_module(name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Remove the module at a dotted path; False if there is none."""
        *parents, name = target.split(".")
        owner: Any = self
        for part in parents:
            owner = getattr(owner, part, None)
        if owner is None or name not in getattr(owner, "_modules", {}):
            return False
        delattr(owner, name)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Remove modules that the graph does not call."""
        used: set[str] = set()
        for node in self._graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used.update(".".join(parts[: i + 1]) for i in range(len(parts)))
                if node.op == "call_module":
                    inner = self.get_submodule(node.target)
                    used.update(f"{node.target}.{name}" for name, _ in inner.named_modules())
        for name, _ in list(self.named_modules()):
            if name and name not in used:
                self.delete_submodule(name)

    def __deepcopy__(self, memo: Any) -> Any:
        members = copy.copy(self.__dict__)
        members.pop("_graph")
        holder = Module()
        holder.__dict__.update(copy.deepcopy(members, memo))
        made = GraphModule.__new__(type(self))
        GraphModule.__init__(made, holder, copy.deepcopy(self._graph, memo), type(self).__name__)
        made.meta = copy.copy(getattr(self, "meta", {}))
        self._keep_the_rest(holder, made)
        return made

    @staticmethod
    def _keep_the_rest(holder: Module, made: Module) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            for name, value in getattr(holder, table).items():
                getattr(made, table).setdefault(name, value)
        for name, value in holder.__dict__.items():
            if name not in made.__dict__:
                made.__dict__[name] = value

    def __copy__(self) -> Any:
        made = GraphModule.__new__(type(self))
        GraphModule.__init__(made, self, copy.deepcopy(self._graph), type(self).__name__)
        return made

    def __reduce__(self) -> Any:
        members = dict(self.__dict__)
        graph = members.pop("_graph")
        members.pop("_code", None)
        return reduce_graph_module, (members, graph, type(self).__name__)


def reduce_graph_module(members: dict[str, Any], graph: Graph, class_name: str) -> GraphModule:
    """A pickled GraphModule again."""
    holder = Module()
    holder.__dict__.update(members)
    made = GraphModule(holder, graph, class_name)
    GraphModule._keep_the_rest(holder, made)
    return made
