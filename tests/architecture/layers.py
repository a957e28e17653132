"""The rules of structure, as functions from a source tree to a list of sentences.

In: the root of a package (the real one, or one planted by a test).  Out: one sentence per
violation, naming file, line, rule and repair.  Nothing here imports the package it reads.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# A module may import lower levels only.  Folders on one level never import each other, except in
# the library, where a folder may import those that stand before it in LIBRARY.
LEVELS: dict[str, int] = {
    "base": 0,
    "tape": 1,
    "rng": 1,
    "primitives": 2,
    "reference": 3,
    "vjp": 4,
    "simplify": 4,
    "jvp": 5,
    "batching": 5,
    "schedule": 5,
    "loopnest": 5,
    "lowering": 6,
    "codegen": 7,
    "runtime": 8,
    "engine": 9,
    "selfcompile": 9,
    "tensor": 10,
    "ops": 11,
    "__init__": 13,
    "cli": 14,
    "ao": 14,
    "vision": 14,
    "quantization": 15,
    "__main__": 15,
}
LIBRARY_LEVEL = 12
LIBRARY: tuple[str, ...] = (
    "random",
    "streams",
    "accelerated",
    "transform",
    "profiler",
    "overrides",
    "_C",
    "amp",
    "autograd",
    "sparse",
    "quantized",
    "library",
    "linalg",
    "fft",
    "special",
    "masked",
    "signal",
    "cuda",
    "backends",
    "version",
    "torch_version",
    "__config__",
    "__future__",
    "settings",
    "storage",
    "symbolic",
    "checks",
    "quasirandom",
    "functional",
    "return_types",
    "types",
    "_tensor",
    "_tensor_str",
    "_subclasses",
    "_guards",
    "mps",
    "xpu",
    "accelerator",
    "cpu",
    "futures",
    "monitor",
    "testing",
    "distributed",
    "nn",
    "nested",
    "func",
    "distributions",
    "optim",
    "replay",
    "compiler",
    "_dynamo",
    "_inductor",
    "fx",
    "serialization",
    "_utils",
    "jit",
    "export",
    "onnx",
    "multiprocessing",
    "hub",
    "utils",
    "_functorch",
    # Its collectives stand below the layers; what wraps modules and optimizers stands above them.
    "distributed.tensor",
    "distributed._tensor",
    "distributed.fsdp",
    "distributed._composable",
    "distributed.algorithms",
    "distributed.optim",
    "distributed.checkpoint",
    "datasets",
    "progress",
    "sklearn",
    "viz",
    "watch",
)
MAXIMUM_LINES = 600
# Tables: long because they list, not because they do.  Each with the reason it stays one file.
TABLES: dict[str, str] = {}
# Names of PyTorch's that programs import.
PUBLIC_UTILS = (
    "nn/modules/utils.py",
    "_dynamo/utils.py",
    "distributions/utils.py",
    "distributed/utils.py",
)
PUBLIC_MISC = ("vision/ops/misc.py",)
EMPTY_NAMES = frozenset({"helpers", "helper", "common", "misc", "stuff", "tools"})


@dataclass(frozen=True)
class Import:
    """One import statement's target: who imports what, where, and whether inside a function."""

    importer: str
    target: str
    path: Path
    line: int
    in_function: bool


def module_name(root: Path, path: Path) -> str:
    """The dotted name of the module in `path`; `root` is the package's folder."""
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def source_files(root: Path) -> dict[str, Path]:
    """Every module of the package: dotted name to file."""
    return {module_name(root, path): path for path in sorted(root.rglob("*.py"))}


def _import_targets(
    node: ast.Import | ast.ImportFrom, importer: str, is_package: bool, modules: dict[str, Path]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
        return
    base = node.module or ""
    if node.level:
        package = importer.split(".")
        cut = node.level - 1 if is_package else node.level
        package = package[: len(package) - cut]
        base = ".".join([*package, base]) if base else ".".join(package)
    for alias in node.names:
        submodule = f"{base}.{alias.name}"
        yield submodule if submodule in modules else base


def imports_of(root: Path) -> list[Import]:
    """Every import of the package's own modules, in the order of the files."""
    modules = source_files(root)
    state = tuple((path, path.stat().st_mtime_ns) for path in modules.values())
    return list(_imports(root, state))


@functools.cache
def _imports(root: Path, state: tuple[tuple[Path, int], ...]) -> tuple[Import, ...]:
    """The same for files as they are at a time: five rules ask for it."""
    modules = source_files(root)
    found: list[Import] = []
    for importer, path in modules.items():
        is_package = path.name == "__init__.py"
        for node, in_function in _import_statements(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _import_targets(node, importer, is_package, modules):
                found.append(Import(importer, target, path, node.lineno, in_function))
    return tuple(found)


def _import_statements(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Each with whether it stands inside a function."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    for node, inside in waiting:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = True
        waiting.extend((child, inside) for child in ast.iter_child_nodes(node))


def folder_of(module: str) -> str:
    """The folder (or top-level file) that decides a module's level."""
    parts = module.split(".")
    if parts[-1] == "__main__":  # what `python -m` starts stands above all
        return "__main__"
    inner = ".".join(parts[1:3])
    if inner in LIBRARY:
        return inner
    return parts[1] if len(parts) > 1 else "__init__"


def rank(folder: str) -> tuple[int, int] | None:
    """Level, and the place within the library; None for a folder without a level."""
    if folder in LIBRARY:
        return (LIBRARY_LEVEL, LIBRARY.index(folder))
    if folder in LEVELS:
        return (LEVELS[folder], 0)
    return None


def unlevelled_folders(root: Path) -> list[str]:
    """Folders that the level table does not know."""
    folders = {folder_of(module) for module in source_files(root)}
    return [
        f"{root.name}/{folder} has no level; add it to tests/architecture/layers.py"
        for folder in sorted(folders)
        if rank(folder) is None
    ]


def upward_imports(root: Path) -> list[str]:
    """Imports that do not go to a strictly lower level (or stay inside one folder)."""
    problems = []
    for item in imports_of(root):
        if item.target.split(".")[0] != root.name:
            continue
        own, other = folder_of(item.importer), folder_of(item.target)
        own_rank, other_rank = rank(own), rank(other)
        if own == other or own_rank is None or other_rank is None:
            continue
        if other_rank >= own_rank:
            where = f"{item.path.relative_to(root.parent)}:{item.line}"
            problems.append(
                f"{where}: {own} (level {own_rank[0]}) imports {item.target}"
                f" (level {other_rank[0]}); imports go downward only, move the code"
            )
    return problems


def imports_in_functions(root: Path) -> list[str]:
    """Imports that are not at the top of their file."""
    return [
        f"{item.path.relative_to(root.parent)}:{item.line}: imports {item.target} inside a"
        " function; move it to the top"
        for item in imports_of(root)
        if item.in_function
    ]


def forbidden_imports(root: Path, forbidden: frozenset[str] = frozenset({"torch"})) -> list[str]:
    """Imports of packages that the library must never load."""
    return [
        f"{item.path.relative_to(root.parent)}:{item.line}: imports {item.target};"
        " only tests may compare with it"
        for item in imports_of(root)
        if item.target.split(".")[0] in forbidden
    ]


def import_cycles(root: Path) -> list[str]:
    """Cycles among modules (Tarjan's strongly connected components, with an explicit stack)."""
    modules = source_files(root)
    edges: dict[str, list[str]] = {module: [] for module in modules}
    for item in imports_of(root):
        target = item.target
        while target not in modules and "." in target:
            target = target.rpartition(".")[0]
        if target in modules and target != item.importer:
            edges[item.importer].append(target)
    return [
        "import cycle: " + ", ".join(sorted(component)) + "; move the shared part down"
        for component in strongly_connected(edges)
        if len(component) > 1
    ]


def strongly_connected(edges: dict[str, list[str]]) -> list[list[str]]:
    """Strongly connected components.  Source: Tarjan 1972, made iterative."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components: list[list[str]] = []
    for start in edges:
        if start in index:
            continue
        work = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            vertex, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(edges[successor])))
                    break
                if successor in on_stack:
                    low[vertex] = min(low[vertex], index[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[vertex])
                if low[vertex] == index[vertex]:
                    components.append(_pop_component(vertex, stack, on_stack))
    return components


def _pop_component(vertex: str, stack: list[str], on_stack: set[str]) -> list[str]:
    component = []
    while True:
        member = stack.pop()
        on_stack.discard(member)
        component.append(member)
        if member == vertex:
            return component


def long_files(root: Path) -> list[str]:
    """Files over the limit that are not listed as tables."""
    problems = []
    for path in source_files(root).values():
        relative = path.relative_to(root).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAXIMUM_LINES and relative not in TABLES:
            problems.append(
                f"{root.name}/{relative} has {lines} lines, more than {MAXIMUM_LINES};"
                " split it, or list it in TABLES with the reason"
            )
    return problems


def undocumented_modules(root: Path) -> list[str]:
    """Modules without a docstring."""
    return [
        f"{root.name}/{path.relative_to(root).as_posix()} has no module docstring; say what comes"
        " in, what goes out, the invariants and the level"
        for path in source_files(root).values()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]


def empty_names(root: Path) -> list[str]:
    """Files named for nothing.  (`utils` is a public name of PyTorch's and stays a folder.)"""
    problems = []
    for path in source_files(root).values():
        relative = path.relative_to(root)
        if relative.as_posix() in PUBLIC_MISC:
            continue
        is_utils_file = relative.name == "utils.py" and relative.as_posix() not in PUBLIC_UTILS
        if is_utils_file or EMPTY_NAMES.intersection(relative.with_suffix("").parts):
            problems.append(f"{root.name}/{relative.as_posix()} is not named for what it does")
    return problems
