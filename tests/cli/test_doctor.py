"""`rushlight doctor` tells the truth about this machine, and its self-test can fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import rushlight
from rushlight.base.config import EXECUTORS, config
from rushlight.cli import doctor, machine, main, self_test
from rushlight.engine import cuda


def test_every_kernel_passes_the_self_test() -> None:
    failed = [check for check in self_test.run_checks() if not check.passed]
    assert failed == []


def test_a_wrong_value_fails_the_self_test() -> None:
    (check,) = self_test.run_checks({"wrong": lambda: (np.ones(3), np.ones(3) + 1e-3)})
    assert not check.passed and check.error == pytest.approx(1e-3)
    assert check.message == "differs by 0.001 from the value worked out by hand"


def test_a_value_that_is_not_a_number_fails_the_self_test() -> None:
    (check,) = self_test.run_checks({"nan": lambda: (np.full(3, np.nan), np.ones(3))})
    assert not check.passed


def test_a_wrong_shape_fails_the_self_test() -> None:
    (check,) = self_test.run_checks({"shape": lambda: (np.ones(3), np.ones(4))})
    assert not check.passed and check.message == "has the shape (3,), expected (4,)"


def test_an_exception_fails_the_self_test_and_is_told() -> None:
    (check,) = self_test.run_checks({"raises": lambda: (1 / 0, 0)})
    assert not check.passed and check.message == "ZeroDivisionError: division by zero"


def test_the_report_is_json_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and report["healthy"] and report["problems"] == []
    assert report["rushlight"] == rushlight.__version__
    assert report["processor"]["usable_threads"] >= 1
    assert doctor.EXECUTORS.keys() == set(EXECUTORS) and report["executor"] in EXECUTORS
    versions = {row["name"]: row["version"] for row in report["dependencies"]}
    assert versions["numpy"] == np.__version__ and versions["llvmlite"] is not None
    assert {item["kind"] for item in report["accelerators"]} == {
        "NVIDIA", "AMD", "Apple", "OpenCL",
    }  # fmt: skip
    assert not any(item["usable"] for item in report["accelerators"])
    assert all(check["passed"] for check in report["self_test"])


def test_the_report_in_words_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("Python", "Platform", "Processor", "Memory", "numpy", "LLVM", "Executor", "pass"):
        assert word in text
    assert text.endswith("All is well: rushlight computes on this machine's CPU.\n")


def test_a_failed_check_gives_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = self_test.Check("matrix product", False, 0.5, 1.0, "differs by 0.5")
    monkeypatch.setattr(self_test, "run_checks", lambda: [broken])
    assert main.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "FAIL  matrix product" in text
    assert "  - self-test: matrix product differs by 0.5" in text


def test_a_compiler_that_cannot_be_loaded_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LLVM_PROBE", "raise OSError('libLLVM: no such file')")
    report = doctor.examine()
    assert not report["healthy"]
    assert report["problems"] == ["llvmlite cannot be loaded: OSError: libLLVM: no such file"]
    assert "features unknown" in doctor.in_words(report)


def test_a_probe_that_crashes_does_not_take_the_report_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "CUDA_PROBE", "import os; os.abort()")
    nvidia = machine.accelerators()[0]
    assert not nvidia.usable


def test_a_device_that_is_found_is_reported_as_not_used_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = {
        "driver_library": True,
        "status": 0,
        "cuda": "12.4",
        "devices": [{"name": "Toy", "bytes": 16 * 2**30, "capability": "9.0"}],
    }
    monkeypatch.setattr(machine, "CUDA_PROBE", f"print({json.dumps(json.dumps(answer))})")
    nvidia = machine.accelerators()[0]
    assert nvidia.found and not nvidia.usable
    assert nvidia.what == "Toy (16 GiB, compute capability 9.0), driver for CUDA 12.4"
    assert "libcuda" in nvidia.reason


def test_settings_in_the_environment_are_shown() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "rushlight", "doctor"],
        capture_output=True,
        text=True,
        env={**os.environ, "RUSHLIGHT_EAGER": "1"},
    )
    # The tests set others, too.
    assert re.search(r"^(Settings|        )     RUSHLIGHT_EAGER=1$", result.stdout, re.MULTILINE)


def test_an_interpreter_newer_than_any_tested_has_a_line_of_its_own() -> None:
    assert machine._standing((3, 10)) == machine._standing((3, 15))
    assert "newer than 3.15" in machine._standing((3, 16))
    report = doctor.examine()
    assert report["system"]["tested"] in doctor.in_words(report)


def test_an_emulated_device_is_tested_as_the_cpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cuda", cuda.EMULATED)
    cuda.use_driver(None)
    try:
        report = doctor.examine()
    finally:
        monkeypatch.undo()
        cuda.use_driver(None)
    assert report["healthy"] and report["devices"] == ["cpu", "cuda:0"]
    names = [check["name"] for check in report["self_test"]]
    assert "convolution on cuda:0" in names and len(names) == 2 * len(self_test.CHECKS)
    assert "used: RUSHLIGHT_CUDA=emulated asks for it" in doctor.in_words(report)
    assert doctor.in_words(report).endswith("CPU and on cuda:0.")
