"""Install packages into two environments, run each one's program in both, print the table.

`python -m tests.ecosystem` runs all rows, `python -m tests.ecosystem bert timm_` some; with
`--where FOLDER` the environments stay there and are used again, with `--alone` PyTorch is left out.
The exit code is 1 if a program fails or differs by more than its row allows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from tests.ecosystem.report import MARK
from tests.ecosystem.table import PYTORCH, TABLE, Row

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600
PRELUDE = "import tests.ecosystem.prelude;"


def environment(folder: Path, pytorch: bool, rows: list[Row]) -> Path:
    """The Python of an environment with the packages of the rows."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        if not pytorch:
            _call(python, "-m", "pip", "install", "-q", "-e", str(ROOT))
            _call(python, "-m", "rushlight", "torch", "install")
    wanted = sorted({name for row in rows for name in row.requirements})
    _call(python, "-m", "pip", "install", "-q", *(PYTORCH if pytorch else ()), *wanted)
    bare = sorted({name for row in rows for name in row.bare})
    if bare:
        _call(python, "-m", "pip", "install", "-q", "--no-deps", *bare)
    return python


def _call(python: Path, *words: str) -> None:
    subprocess.run([str(python), *words], check=True)


def outcome(python: Path, row: Row, pytorch: bool) -> dict[str, Any]:
    """What a program found and its seconds, or the last line of its error."""
    module = f"tests.ecosystem.programs.{row.program}"
    code = f"import runpy; runpy.run_module({module!r}, run_name='__main__')"
    if pytorch:
        code = PRELUDE + code
    try:
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {SECONDS} s"}
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return json.loads(line[len(MARK) :])
    lines = (done.stderr or done.stdout).strip().splitlines()
    return {"error": lines[-1] if lines else f"exit code {done.returncode}"}


def distance(mine: Any, theirs: Any, path: str = "") -> tuple[float, str]:
    """The largest difference and where it is; infinite where the values are not alike."""
    if isinstance(theirs, dict) and isinstance(mine, dict) and mine.keys() == theirs.keys():
        parts = [distance(mine[key], theirs[key], f"{path}.{key}") for key in theirs]
    elif isinstance(theirs, list) and isinstance(mine, list) and len(mine) == len(theirs):
        parts = [distance(x, y, path) for x, y in zip(mine, theirs)]
    elif mine == theirs:
        return 0.0, path
    elif isinstance(mine, (int, float)) and isinstance(theirs, (int, float)):
        return abs(mine - theirs) / max(1.0, abs(theirs)), path
    else:
        return float("inf"), path
    return max(parts, default=(0.0, path))


def verdict(row: Row, mine: dict[str, Any], theirs: dict[str, Any] | None) -> tuple[bool, str]:
    """Whether a row is as it should be, and its line."""
    head = f"{row.program:16} "
    if "error" in mine:
        return False, f"{head}stops: {mine['error']}"
    times = f"{mine['seconds']:.1f} s"
    if theirs is None:
        return True, f"{head}runs: {times}"
    if "error" in theirs:
        return True, f"{head}runs: {times}; PyTorch's side stops: {theirs['error']}"
    times += f", PyTorch {theirs['seconds']:.1f} s"
    if "step" in mine and "step" in theirs:
        ratio = theirs["step"] / mine["step"]
        times += f"; a call {1e3 * mine['step']:.1f} ms, {ratio:.2f} times as fast as PyTorch's"
    largest, where = distance(mine["found"], theirs["found"])
    if largest <= row.tolerance:
        return True, f"{head}works: {times}; largest difference {largest:.1e}. {row.known}".rstrip()
    return (
        False,
        f"{head}differs: {largest:.1e} at {where.lstrip('.')}; {times}. {row.known}".rstrip(),
    )


def main() -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.ecosystem", description=__doc__)
    parser.add_argument("programs", nargs="*", help="rows of the table; all of them if none")
    parser.add_argument("--where", type=Path, help="folder of the environments, kept for next time")
    parser.add_argument("--alone", action="store_true", help="run on rushlight only")
    options = parser.parse_args()
    known = {row.program: row for row in TABLE}
    unknown = [name for name in options.programs if name not in known]
    if unknown:
        parser.error(f"no row is called {unknown[0]}; there are {', '.join(known)}")
    rows = [known[name] for name in options.programs] or list(TABLE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.where or Path(temporary)).resolve()
        mine = environment(folder / "rushlight", False, rows)
        theirs = None if options.alone else environment(folder / "pytorch", True, rows)
        good = True
        for row in rows:
            found = outcome(mine, row, False)
            beside = None if theirs is None else outcome(theirs, row, True)
            fine, line = verdict(row, found, beside)
            good &= fine
            print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
