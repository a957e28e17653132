"""`rushlight run`: an unmodified PyTorch script runs on rushlight.

In: a script, `-m module`, `-c code` or `-` for the standard input, and the script's arguments.
Out: whatever the script does, with `torch` resolving to rushlight in this process and in its
workers; its exit code.  The script sees what it would see under `python`: `__main__`, `sys.argv`,
its folder first on `sys.path`, and tracebacks without a line of this file.  With `--watch` a page
shows the run while it lasts, and stays as a file.  Level 14.
"""

from __future__ import annotations

import argparse
import builtins
import importlib
import linecache
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType

from rushlight.cli import alias

INTERRUPTED = 130
DEFAULT_PAGE = "run.html"
# ImportError carries the name it did not find only from Python 3.12 on; its text always does.
CANNOT_IMPORT = re.compile(r"cannot import name '(\w+)' from '((?:rushlight|torch)[\w.]*)'")
FRAMES_OF_THE_RUNNER = frozenset({__file__, runpy.__file__, "<frozen runpy>"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything after the script's name belongs to the script."""
    # argparse would read a script's own `-x` as its own option, so it gets one list and
    # `_choose_program` reads that as `python` does.
    parser.usage = (
        "rushlight run SCRIPT [ARGUMENT ...]\n"
        "       rushlight run -m MODULE [ARGUMENT ...]\n"
        "       rushlight run -c CODE [ARGUMENT ...]\n"
        "       rushlight run - [ARGUMENT ...]      (reads the script from the standard input)\n"
        "       rushlight run --watch[=FILE] [--port=PORT] SCRIPT ...      (a page shows the run;\n"
        f"                     it is written to FILE at the end, {DEFAULT_PAGE} if none is named;\n"
        "                     with --events=FOLDER TensorBoard's files are written there, too)"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help="script and its arguments")


def run(options: argparse.Namespace) -> int:
    """Run the program; returns the exit code that `python` would have given."""
    words: list[str] = options.program
    words, page, port, events = _watching_options(words)
    if words and words[0] == "--":
        words = words[1:]
    program = port if isinstance(port, str) else _choose_program(words)
    if isinstance(program, str):
        print(f"rushlight run: {program}", file=sys.stderr)
        return 2
    alias.install()
    if page is not None:
        # A server and all of `nn`: only on request.
        program = importlib.import_module("rushlight.cli.watching").watched(
            program, words, page, int(port), events
        )
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        return _report(error)
    return 0


def _watching_options(words: list[str]) -> tuple[list[str], str | None, int | str, str | None]:
    """(the program's words, the page's file if one is wanted, its port or what is wrong, and the
    folder of events)."""
    events: str | None = None
    page: str | None = None
    port: int | str = 0
    words = list(words)
    while words and words[0].partition("=")[0] in ("--watch", "--port", "--events"):
        name, equals, value = words.pop(0).partition("=")
        if name == "--watch":
            page = value or DEFAULT_PAGE
        elif not equals and words:
            value = words.pop(0)
        if name == "--port":
            port = int(value) if value.isdecimal() and int(value) < 2**16 else "--port takes a port"
        if name == "--events":
            events = value
    if events is not None and (page is None or not events):
        port = "--events takes a folder and belongs to --watch"
    if port != 0 and page is None and not isinstance(port, str):
        port = "--port belongs to --watch"
    return words, page, port, events


def _choose_program(words: list[str]) -> Callable[[], None] | str:
    """What to run, as a function; or the reason why not, as a sentence."""
    if not words:
        return "name a script, -m MODULE, -c CODE, or - for the standard input"
    first, rest = words[0], words[1:]
    if first in ("-m", "-c"):
        if not rest:
            return f"{first} needs a {'module' if first == '-m' else 'piece of code'} after it"
        if first == "-m":
            return lambda: _run_module(rest[0], rest[1:])
        return lambda: _run_text(rest[0], "<string>", ["-c", *rest[1:]])
    if first == "-":
        return lambda: _run_text(sys.stdin.read(), "<stdin>", words)
    if first.startswith("-"):
        return f"unknown option {first}; options of the script stand after its name"
    path = Path(first)
    if not path.exists():
        return f"can't open file {str(path)!r}: there is no such file"
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        return lambda: _run_archive(path, rest)
    return lambda: _run_script(path, rest)


def _run_script(path: Path, arguments: list[str]) -> None:
    sys.argv = [str(path), *arguments]
    _put_first_on_path(str(path.resolve().parent))
    source = path.read_bytes()
    # CPython gives `__file__` of a script as an absolute path since 3.9.
    _execute(source, os.path.abspath(path), {"__file__": os.path.abspath(path)})


def _run_text(text: str, name: str, argv: list[str]) -> None:
    sys.argv = argv
    _put_first_on_path("")
    # So that tracebacks and error messages can show the lines.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    _execute(text.encode(), name, {})


def _run_module(name: str, arguments: list[str]) -> None:
    sys.argv = [name, *arguments]
    _put_first_on_path(os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_archive(path: Path, arguments: list[str]) -> None:
    sys.argv = [str(path), *arguments]
    _put_first_on_path(str(path))
    runpy.run_path(str(path), run_name="__main__")


def _put_first_on_path(folder: str) -> None:
    """Put the script's folder where `python` puts it: in the place of this command's own folder."""
    if getattr(sys.flags, "safe_path", False):
        return
    sys.path[0] = folder


def _execute(source: bytes, name: str, names: dict[str, str]) -> None:
    """Run source as `__main__`.  Unlike runpy's, the module stays in `sys.modules`: what the
    script defines can be pickled to the end of the process, also by threads and exit handlers."""
    main = ModuleType("__main__")
    vars(main).update(names, __builtins__=builtins, __spec__=None)
    sys.modules["__main__"] = main
    if alias.OVERRIDE.encode() in source:
        importlib.import_module(alias.INTERCEPTION).watch_for_good()
    code = compile(source, name, "exec", dont_inherit=True)
    exec(code, vars(main))


def _report(error: BaseException) -> int:
    """Show an error that the script did not catch, as `python` would, and the exit code."""
    shown = _without_the_runner(error.__traceback__)
    error.__traceback__ = shown
    sys.excepthook(type(error), error, shown)
    name = _missing_name(error)
    if name is not None:
        print(f"rushlight run: rushlight does not have {name} yet", file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return 1


def _without_the_runner(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename in FRAMES_OF_THE_RUNNER:
        frames = frames.tb_next
    return frames


def _missing_name(error: BaseException) -> str | None:
    """`torch.foo`, when the error is that a module or class of rushlight has no `foo`."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        # Python's own words: the package is not installed, and installing PyTorch's would not do.
        if error.name.split(".")[0] in alias.BUILT_ON_TORCH and "rushlight" not in str(error):
            return error.name
    if isinstance(error, ImportError):
        match = CANNOT_IMPORT.match(str(error))
        return f"{_as_torch(match[2])}.{match[1]}" if match else None
    if not isinstance(error, AttributeError) or error.name is None:
        return None
    if isinstance(error.obj, ModuleType):
        module = error.obj.__name__
        if module.split(".")[0] not in (alias.TARGET, alias.ALIAS):
            return None
        return f"{_as_torch(module)}.{error.name}"
    owner = type(error.obj)
    if owner.__name__ == "Tensor" and owner.__module__.split(".")[0] == alias.TARGET:
        return f"{alias.ALIAS}.Tensor.{error.name}"
    return None


def _as_torch(module: str) -> str:
    return ".".join([alias.ALIAS, *module.split(".")[1:]])
