"""What `import rushlight` costs, what it loads, and that what it leaves out is there when named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
BUDGET = 0.15  # seconds beyond NumPy's own import, bytecode compiled
NUMPY_IMPORT = 0.1  # seconds, where the budget was written
MOST_ROUNDS = 8
LATER = (
    "autograd", "backends", "compiler", "cuda", "datasets", "nn", "optim", "serialization",
    "testing", "utils",
)  # fmt: skip


def in_a_process(code: str, *options: str) -> str:
    """What `code` prints in a fresh interpreter that has nothing imported."""
    text = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}"
    command = [sys.executable, *options, "-c", text]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_importing_costs_less_than_its_budget_beyond_numpy(tmp_path: Path) -> None:
    # Processor time, because other processes only make a program wait; the best of some processes,
    # because noise only adds; and in proportion where NumPy's own import says that this machine, or
    # this moment, is slower than the one the budget was written for.
    code = """
import sys, time
sys.dont_write_bytecode = False
started = time.process_time()
import numpy
between = time.process_time()
import rushlight
print(between - started, time.process_time() - between)
"""
    numpy_best = own_best = float("inf")
    for attempt in range(MOST_ROUNDS):
        words = in_a_process(code, "-X", f"pycache_prefix={tmp_path}").split()
        if attempt == 0:
            continue  # this one compiled the bytecode
        numpy_best, own_best = min(numpy_best, float(words[0])), min(own_best, float(words[1]))
        if own_best <= BUDGET:
            return
    allowed = BUDGET * max(1.0, numpy_best / NUMPY_IMPORT)
    assert own_best <= allowed, f"{own_best:.3f} s beyond numpy, numpy alone {numpy_best:.3f} s"


def test_importing_loads_neither_the_code_generator_nor_the_library() -> None:
    listing = "import json; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(in_a_process(f"import rushlight; {listing}")))
    # What NumPy loads depends on its version and is not ours to avoid.
    with_numpy = set(json.loads(in_a_process(f"import numpy.random; {listing}")))
    late = {f"rushlight.{name}" for name in LATER}
    heavy = {"llvmlite", "multiprocessing", "zipfile", "csv", "unittest", "dis"}
    assert loaded & (late | heavy - with_numpy) == set()


def test_each_part_of_the_library_is_there_when_first_named() -> None:
    for name in LATER:
        code = f"import rushlight; print(rushlight.{name}.__name__, {name!r} in dir(rushlight))"
        assert in_a_process(code).split() == [f"rushlight.{name}", "True"]


def test_parts_can_be_imported_in_every_spelling() -> None:
    code = """
import rushlight.nn as nn
from rushlight import optim
from rushlight.utils.data import DataLoader
import rushlight
assert rushlight.nn is nn and rushlight.optim is optim and rushlight.utils.data.DataLoader
from rushlight import load, save
assert rushlight.load is load is rushlight.serialization.load
assert rushlight.save is save and "save" in dir(rushlight)
"""
    assert in_a_process(code) == ""


def test_a_missing_name_is_an_attribute_error_that_names_it() -> None:
    code = """
import rushlight
try:
    rushlight.no_such_name
except AttributeError as error:
    print(error, error.name, error.obj is rushlight)
print(hasattr(rushlight, "zeros_lik"))
"""
    expected = "module 'rushlight' has no attribute 'no_such_name' no_such_name True\nFalse\n"
    assert in_a_process(code) == expected


def test_the_library_adds_no_operation_that_the_package_did_not_have() -> None:
    """A section of `ops/` that only `nn` imports would lack its names until then."""
    code = """
import rushlight
from rushlight.ops.spelling import PUBLIC
functions, methods = set(PUBLIC), set(dir(rushlight.Tensor))
import importlib, pkgutil
for module in pkgutil.walk_packages(rushlight.__path__, "rushlight."):
    if not module.name.startswith("rushlight.cli") and module.name != "rushlight.__main__":
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if "pip install 'rushlight[" not in str(error):  # an extra that is not installed
                raise
print(sorted(set(PUBLIC) - functions), sorted(set(dir(rushlight.Tensor)) - methods))
print([name for name in PUBLIC if name not in vars(rushlight)])
"""
    assert in_a_process(code) == "[] []\n[]\n"
