"""The first thing to run where there is a CUDA card: does it compute rightly, and how fast?

    python tools/on_gpu.py [--minutes 10] [--quick] [--no-tests] [--markdown FILE]

Compares kernels of each kind with the CPU, measures rows, products, training steps and attention,
beside PyTorch CUDA where that is installed, lists the kernels that a training step of a language
model spends its time in, and runs the tests of devices on the card.  Each part is a process of its
own with a time limit: one that fails, hangs or leaves the card in a bad state costs its own rows
only, and the rest of its rows are begun anew.  The table is written after each part.  Exits with 1
if something was wrong.  On the emulated device sizes are tiny, and show that the script runs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import rushlight
from rushlight.base.observe import KERNEL, watchers
from rushlight.engine.describe import facts_of
from rushlight.tensor.flush import synchronize as flush

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_rows  # noqa: E402

TESTS = [
    f"tests/devices/emulated/test_{name}.py"
    for name in (
        "kernels", "products", "programs", "attention", "joined", "random", "items", "graphs",
        "autocast", "host", "sharing", "surface",
    )
]  # fmt: skip
CHECKS, PROFILE = "checks", "profile"
# Seconds that one process may take; of the kernels of a large program many are linked.
LIMITS = {CHECKS: 120, "rows": 60, "products": 60, "steps": 60, "gpt": 120, "attention": 60,
          "others": 60, PROFILE: 120}  # fmt: skip
_TEST_LIMIT = 150
# What asks about texts, not about the card.
_ON_CARD = "not ptxas and not registers"


# ---- in a process of its own ---------------------------------------------------------------------


def _work(part: str, library_name: str, sizes_name: str, names: list[str], out: Path) -> int:
    """Do the rows of a part; each begins with a line of its own, so that the last one is known."""
    sizes = gpu_rows.SIZES[sizes_name]
    with out.open("a", encoding="utf-8") as file:

        def note(**line: Any) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        library = importlib.import_module(library_name)
        for name in names:
            note(begun=name)
            try:
                if part == CHECKS:
                    error, allowed = gpu_rows.error_of(name)
                    note(done=name, error=error, allowed=allowed)
                elif part == PROFILE:
                    note(done=name, text=slow_kernels(sizes))
                else:
                    value = gpu_rows.value_of(gpu_rows.ROWS[name], library, sizes)
                    note(done=name, value=value)
            except BaseException as error:
                traceback.print_exc()
                note(failed=name, why=f"{type(error).__name__}: {error}"[:300])
                return 1  # the card may be in a bad state: what is left begins anew
        if library_name == "rushlight":
            reasons = library.stats()["fallback_reasons"]
            note(host=[reason for reason in reasons if reason.startswith("through")])
    return 0


def slow_kernels(sizes: Any, most: int = 15) -> str:
    """Where a training step of the language model spends its time, as Markdown."""
    step = gpu_rows.gpt_step(rushlight, *sizes.gpt)
    for _ in range(2):
        step()
        flush()
    spent: dict[str, tuple[int, float, int, int]] = {}

    def watch(event: Any) -> None:
        if event.kind == KERNEL:
            facts = facts_of(*event.detail)
            count, total, moved, flops = spent.get(facts.name, (0, 0.0, 0, 0))
            spent[facts.name] = (
                count + 1, total + event.seconds, moved + facts.moved, flops + facts.flops,
            )  # fmt: skip

    watchers.append(watch)
    try:
        step()
        flush()
    finally:
        watchers.remove(watch)
    whole = sum(row[1] for row in spent.values())
    lines = [
        f"{sum(row[0] for row in spent.values())} launches, {1e3 * whole:.4g} ms one by one:", "",
        "| kernel | launches | ms | share | GB/s | TFLOP/s |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, (count, total, moved, flops) in sorted(spent.items(), key=lambda r: -r[1][1])[:most]:
        lines.append(
            f"| {name} | {count} | {1e3 * total:.4g} | {total / whole:.0%} | "
            f"{1e-9 * moved / total:.4g} | {1e-12 * flops / total:.4g} |"
        )
    return "\n".join(lines)


# ---- the parent ----------------------------------------------------------------------------------


class Session:
    """One run of the script: what was found so far, and how long there is."""

    def __init__(self, options: argparse.Namespace, emulated: bool, device: str) -> None:
        self.options = options
        self.sizes = "tiny" if emulated else ("quick" if options.quick else "full")
        self.device = device
        self.end = time.monotonic() + 60 * options.minutes
        self.folder = Path(tempfile.mkdtemp(prefix="on_gpu_"))
        self.checks: dict[str, tuple[float, float]] = {}
        self.values: dict[tuple[str, str], float] = {}
        # (name, library) -> why there is no figure.
        self.failures: dict[tuple[str, str], str] = {}
        self.host: set[str] = set()
        self.profile = ""
        self.tests: list[tuple[str, str]] = []
        self.wrong = False
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}

    @property
    def left(self) -> float:
        """Seconds of the whole."""
        return self.end - time.monotonic()

    def run_part(self, part: str, library: str, names: list[str]) -> None:
        """All rows of a part, in as many processes as it takes."""
        todo = list(names)
        while todo and self.left > 5:
            out = self.folder / f"{part}_{library}_{len(todo)}.json"
            limit = min(LIMITS[part], self.left)
            why = self._process(part, library, todo, out, limit)
            begun, ended = self._read(out, library)
            for name in begun - ended:
                self.failures[name, library] = why or "the process died"
            if not begun:
                for name in todo:
                    self.failures[name, library] = why or "it could not begin"
                todo = []
            todo = [name for name in todo if name not in begun | ended]
        for name in todo:
            self.failures[name, library] = "no time was left"
        self.write()

    def _process(self, part: str, library: str, names: list[str], out: Path, limit: float) -> str:
        command = [sys.executable, __file__, "--part", part, "--library", library,
                   "--sizes", self.sizes, "--out", str(out), "--names", *names]  # fmt: skip
        print(f"{part}, {library}: {len(names)} to do", flush=True)
        with (self.folder / "log.txt").open("a") as log:
            child = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                code = child.wait(limit)
            except subprocess.TimeoutExpired:
                child.kill()
                # A process that the driver does not let go is left behind.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(10)
                return f"not done after {limit:.0f} s"
        return "" if code in (0, 1) else f"the process ended with {code}"

    def _read(self, out: Path, library: str) -> tuple[set[str], set[str]]:
        """(names begun, names that ended somehow)."""
        begun: set[str] = set()
        ended: set[str] = set()
        for text in out.read_text().splitlines() if out.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # cut off in the middle
            self.host.update(line.get("host", ()))
            if "begun" in line:
                begun.add(line["begun"])
            elif "failed" in line:
                ended.add(line["failed"])
                self.failures[line["failed"], library] = line["why"]
            elif "done" in line:
                name = line["done"]
                ended.add(name)
                if "error" in line:
                    self.checks[name] = line["error"], line["allowed"]
                elif "text" in line:
                    self.profile = line["text"]
                else:
                    self.values[name, library] = line["value"]
        return begun, ended

    def run_tests(self) -> None:
        """The tests of devices, a process for each file, as long as there is time."""
        environment = {**self.environment, "RUSHLIGHT_ON_CARD": "1"}
        for file in TESTS:
            name = Path(file).stem
            if self.left < 10:
                self.tests.append((name, "no time was left"))
                continue
            print(f"tests: {name}", flush=True)
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--maxfail=5",
                "--tb=short",
                "-k",
                _ON_CARD,
                file,
            ]
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment, timeout=min(_TEST_LIMIT, self.left),
                    capture_output=True, text=True,
                )  # fmt: skip
                lines = done.stdout.strip().splitlines() or ["it could not begin"]
                if done.returncode:
                    self.wrong = True
                    with (self.folder / "log.txt").open("a") as log:
                        log.write(done.stdout + done.stderr)
                self.tests.append((name, lines[-1]))
            except subprocess.TimeoutExpired:
                # A file that the end of the time cuts short says nothing; one that hangs does.
                self.wrong = self.wrong or self.left > 0
                self.tests.append((name, "not done in time"))
            self.write()

    # ---- the table -----------------------------------------------------------------------------

    def write(self) -> None:
        """What is known so far, into the file."""
        if self.options.markdown:
            Path(self.options.markdown).write_text(self.text() + "\n", encoding="utf-8")

    def text(self) -> str:
        """Everything found, as Markdown."""
        parts = [self.device, self._checks_text(), self._values_text(), self.profile]
        if self.host:
            parts.append("Through the host: " + ", ".join(sorted(self.host)))
        if self.tests:
            rows = [f"| {name} | {text} |" for name, text in self.tests]
            parts.append("\n".join(["| tests | |", "|---|---|", *rows]))
        return "\n\n".join(part for part in parts if part)

    def _checks_text(self) -> str:
        lines = ["| computes as the CPU | error | allowed | |", "|---|---|---|---|"]
        for name in gpu_rows.CHECKS:
            why = self.failures.get((name, "rushlight"))
            if name in self.checks:
                error, allowed = self.checks[name]
                verdict = "right" if error <= allowed else "WRONG"
                lines.append(f"| {name} | {error:.2g} | {allowed:.2g} | {verdict} |")
            elif why is not None:
                lines.append(f"| {name} | | | WRONG: {_cell(why)} |")
        return "\n".join(lines) if len(lines) > 2 else ""

    def _values_text(self) -> str:
        lines = [
            "| | rushlight | PyTorch CUDA | unit | ratio | share | should reach | |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, row in gpu_rows.ROWS.items():
            ours, theirs = (self.values.get((name, lib)) for lib in ("rushlight", "torch"))
            why = self.failures.get((name, "rushlight"))
            if ours is None and theirs is None and why is None:
                continue
            ratio = share = verdict = ""
            reached: float | None = None
            if ours is not None and theirs is not None:
                faster = theirs / ours if row.unit in ("us", "ms") else ours / theirs
                ratio, reached = f"{faster:.2f}", faster
            if row.share:
                copies = [self.values.get((row.share, lib)) for lib in ("rushlight", "torch")]
                best = max((c for c in copies if c is not None), default=None)
                reached = ours / best if best and ours is not None else None
                share = "" if reached is None else f"{reached:.0%} of {row.share}"
            if row.reach and reached is not None and self.sizes != "tiny":
                verdict = "reached" if reached >= row.reach else "missed"
            shown = [("" if v is None else f"{v:.4g}") for v in (ours, theirs)]
            if why is not None:
                verdict = f"FAILED: {_cell(why)}"
            lines.append(
                f"| {name} | {shown[0]} | {shown[1]} | {row.unit} | {ratio} | {share} | "
                f"{row.goal} | {verdict} |"
            )
        return "\n".join(lines) if len(lines) > 2 else ""

    def is_right(self) -> bool:
        """Whether nothing was wrong."""
        checked = all(error <= allowed for error, allowed in self.checks.values())
        own = [name for name, library in self.failures if library == "rushlight"]
        return checked and not own and not self.wrong


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _has_torch_cuda() -> bool:
    """Asked in another process: what it leaves behind on the card goes with it."""
    if importlib.util.find_spec("torch") is None:
        return False
    command = [
        sys.executable,
        "-c",
        "import torch; raise SystemExit(not torch.cuda.is_available())",
    ]
    try:
        return subprocess.run(command, timeout=60, capture_output=True).returncode == 0
    except subprocess.TimeoutExpired:
        return False


_DEVICE = """
import json
from rushlight.engine import cuda
found = cuda.backends()
facts = cuda.backend().facts if found else None
print(json.dumps([bool(found), cuda.reason() if not found else "", bool(found) and
                  cuda.driver().emulated, facts and facts.name, facts and facts.capability]))
"""


def main() -> int:
    """Run everything; 1 if there is no device or something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for everything together")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--no-tests", action="store_true", help="check and measure only")
    parser.add_argument("--markdown", metavar="FILE", help="write the table here, too")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", help=argparse.SUPPRESS)
    parser.add_argument("--names", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return _work(options.part, options.library, options.sizes, options.names, options.out)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _DEVICE], capture_output=True, text=True, timeout=60
        )
        there, reason, emulated, name, capability = json.loads(asked.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        print(f"the driver could not be asked: {error}")
        return 1
    if not there:
        print(f"there is no CUDA device: {reason}")
        return 1
    device = f"{name}, capability {capability[0]}.{capability[1]}"
    if emulated:
        device += "; emulated: its times say nothing of a card's"
    session = Session(options, emulated, device)
    print(f"{device}\nlog: {session.folder / 'log.txt'}", flush=True)
    session.run_part(CHECKS, "rushlight", list(gpu_rows.CHECKS))
    print(session._checks_text(), flush=True)
    libraries = ["rushlight", "torch"] if not emulated and _has_torch_cuda() else ["rushlight"]
    for part in dict.fromkeys(row.part for row in gpu_rows.ROWS.values()):
        names = [name for name, row in gpu_rows.ROWS.items() if row.part == part]
        for library in libraries:
            session.run_part(part, library, names)
        if part == "gpt":
            session.run_part(PROFILE, "rushlight", [PROFILE])
    if not options.no_tests:
        session.run_tests()
    session.write()
    print(session.text())
    return 0 if session.is_right() else 1


if __name__ == "__main__":
    sys.exit(main())
