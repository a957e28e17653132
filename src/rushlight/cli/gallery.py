"""`rushlight gallery`: small programs for each kind of learning, to be run and read.

In: nothing, or names of programs.  Out: the list with a line on each, or what the programs print
and draw; they are unmodified PyTorch scripts and run as `rushlight run` runs them.  Level 14.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

import rushlight

# In an installed package they are a folder of it; in a checkout they stand beside `src`.
_PACKAGE = Path(rushlight.__file__).parent
PLACES = (_PACKAGE / "gallery", _PACKAGE.parents[1] / "examples")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `rushlight gallery`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs to run; `all` for all")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="what they draw is saved here as NAME.png"
    )
    parser.add_argument("--show", action="store_true", help="print the programs, do not run them")


def run(options: argparse.Namespace) -> int:
    """List, show or run; returns the exit code."""
    programs = programs_here()
    if not programs:
        print("rushlight gallery: its programs are missing from this installation", file=sys.stderr)
        return 1
    if not options.names:
        width = max(map(len, programs))
        for name, path in programs.items():
            print(f"{name:<{width}}  {sentence(path)}")
        print("\nrushlight gallery NAME runs one, --show NAME prints it;")
        print("--pictures FOLDER keeps what it draws.")
        return 0
    names = list(programs) if options.names == ["all"] else options.names
    unknown = [name for name in names if name not in programs]
    if unknown:
        print(
            f"rushlight gallery: there is no {', '.join(unknown)}; there are {', '.join(programs)}",
            file=sys.stderr,
        )
        return 2
    worst = 0
    for name in names:
        if options.show:
            print(programs[name].read_text(encoding="utf-8"))
            continue
        print(f"== {name}: {sentence(programs[name])}", flush=True)
        command = [sys.executable, "-m", "rushlight", "run", str(programs[name])]
        if options.pictures is not None:
            options.pictures.mkdir(parents=True, exist_ok=True)
            command.append(str(options.pictures / f"{name}.png"))
        worst = max(worst, abs(subprocess.call(command)))
    return worst


def programs_here() -> dict[str, Path]:
    """Name -> file, in alphabetical order."""
    place = next((place for place in PLACES if place.is_dir()), None)
    if place is None:
        return {}
    return {path.stem: path for path in sorted(place.glob("*.py"))}


def sentence(path: Path) -> str:
    """What a program says of itself in its first line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""
