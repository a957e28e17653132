"""`rushlight doctor`: what a new user runs after installing.

In: this machine and this installation.  Out: a report in words (or as JSON), and exit code 0 if
everything that is required is here and the self-test of the kernels passes, else 1.  Level 14.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import warnings
from dataclasses import asdict

from rushlight import __version__
from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.cli import machine, self_test
from rushlight.engine.accelerators import KINDS
from rushlight.engine.fallback import kernel_place
from rushlight.selfcompile.warmup import recording_form

EXECUTORS = {"reference": "reference: NumPy", "compiled": "compiled: machine code by LLVM"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `rushlight doctor`."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    """Examine, report, and say by the exit code whether all is well."""
    report = examine()
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(in_words(report))
    return 0 if report["healthy"] else 1


def examine() -> dict:
    """The whole report as plain data; `problems` is a list of sentences, empty if healthy."""
    llvm = machine.compiler()
    dependencies = machine.dependencies()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CompilerWarning)
        checks = self_test.run_checks()
        accelerators = machine.accelerators()
        kinds = KINDS.values() if any(a.usable for a in accelerators) else ()
        places = [backend.device for kind in kinds for backend in kind.backends()]
        for place in places:
            checks += self_test.run_checks_on(place)
        kernels = kernel_place()
    problems = [
        f"{row['name']} is required and not installed"
        for row in dependencies
        if row["required"] and row["version"] is None
    ]
    if "error" in llvm:
        problems.append(f"llvmlite cannot be loaded: {llvm['error']}")
    problems += [str(w.message) for w in caught if issubclass(w.category, CompilerWarning)]
    problems += [f"self-test: {check.name} {check.message}" for check in checks if not check.passed]
    return {
        "rushlight": __version__,
        "system": machine.python_and_platform(),
        "processor": machine.processor(llvm),
        "memory": machine.memory_bytes(),
        "dependencies": dependencies,
        "executor": config.executor,
        "kernels": kernels,
        "recording": recording_form(),
        "llvm": {key: llvm[key] for key in ("llvm", "triple", "error") if key in llvm},
        "accelerators": [asdict(item) for item in accelerators],
        "settings": {
            name: value for name, value in os.environ.items() if name.startswith("RUSHLIGHT_")
        },
        "devices": ["cpu", *map(str, places)],
        "self_test": [_check_as_data(check) for check in checks],
        "problems": problems,
        "healthy": not problems,
    }


def _check_as_data(check: self_test.Check) -> dict:
    row = asdict(check)
    # JSON has no infinity.
    row["error"] = row["error"] if math.isfinite(row["error"]) else None
    return row


def in_words(report: dict) -> str:
    """The report for a person."""
    system, processor = report["system"], report["processor"]
    lines = [
        f"rushlight {report['rushlight']}",
        "",
        _row("Python", system["python"]),
        _row("", system["tested"]),
        _row("", system["executable"]),
        _row("Platform", system["platform"]),
        _row("Processor", f"{processor['model']} ({processor['llvm_name']})"),
        _row("", _threads(processor)),
        _row("", " ".join(processor["features"]) or "features unknown"),
        _row("Memory", _memory(report["memory"])),
    ]
    for index, row in enumerate(report["dependencies"]):
        lines.append(_row("Packages" if index == 0 else "", _package(row)))
    if "llvm" in report["llvm"]:
        lines.append(_row("", f"LLVM {report['llvm']['llvm']} for {report['llvm']['triple']}"))
    lines.append(_row("Executor", EXECUTORS[report["executor"]]))
    lines.append(_row("Kernels", report["kernels"]))
    lines.append(_row("Recording", report["recording"]))
    for index, (name, value) in enumerate(report["settings"].items()):
        lines.append(_row("Settings" if index == 0 else "", f"{name}={value}"))
    lines += ["", "Accelerators"]
    for item in report["accelerators"]:
        words = f"found: {item['what']}" if item["found"] else f"not found ({item['what']})"
        lines.append(f"  {item['kind']:<8} {words}")
        if item["found"] or item["what"].startswith("driver"):
            lines.append(f"  {'':<8} {'used' if item['usable'] else 'not used'}: {item['reason']}")
    lines += ["", "Self-test of the kernels"]
    for check in report["self_test"]:
        verdict = "pass" if check["passed"] else "FAIL"
        lines.append(f"  {verdict}  {check['name']:<30} {check['milliseconds']:8.2f} ms")
    lines.append("")
    if report["problems"]:
        lines += ["Problems:", *(f"  - {problem}" for problem in report["problems"])]
    else:
        others = "".join(f" and on {place}" for place in report["devices"][1:])
        lines.append(f"All is well: rushlight computes on this machine's CPU{others}.")
    return "\n".join(lines)


def _row(label: str, value: str) -> str:
    return f"{label:<12} {value}".rstrip()


def _threads(processor: dict) -> str:
    total, usable = processor["hardware_threads"], processor["usable_threads"]
    if usable == total:
        return f"{total} hardware threads"
    return f"{total} hardware threads, {usable} of them for this process"


def _memory(memory: dict) -> str:
    if memory["total"] is None:
        return "unknown"
    words = f"{memory['total'] / 2**30:.1f} GiB"
    if memory["available"] is not None:
        words += f", {memory['available'] / 2**30:.1f} GiB available"
    return words


def _package(row: dict) -> str:
    version = row["version"] or "not installed"
    return f"{row['name']} {version} ({row['role']})"
