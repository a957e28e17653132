"""What `import rushlight` costs, what it loads, and that what it leaves out is there when named."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
BUDGET = 0.15  # seconds beyond NumPy's own import, bytecode compiled
MOST_ROUNDS = 12
LATER = ("autograd", "backends", "cuda", "datasets", "nn", "optim", "serialization", "utils")


def in_a_process(code: str, *options: str) -> str:
    """What `code` prints in a fresh interpreter that has nothing imported."""
    command = [sys.executable, *options, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})"]
    command[-1] += f"\n{code}"
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_importing_costs_less_than_its_budget_beyond_numpy(tmp_path: Path) -> None:
    # Both imports are timed in one process, so that a busy machine slows both; the best of some
    # processes counts, since noise only adds.  The first one compiles the bytecode.
    code = (
        "import time; import numpy; start = time.perf_counter(); import rushlight;"
        " print(time.perf_counter() - start)"
    )
    bytecode = ("-X", f"pycache_prefix={tmp_path}")
    compiling = f"import sys; sys.dont_write_bytecode = False; {code}"
    in_a_process(compiling, *bytecode)
    best = float("inf")
    for _ in range(MOST_ROUNDS):
        best = min(best, float(in_a_process(compiling, *bytecode)))
        if best < BUDGET:
            return
        time.sleep(0.5)
    raise AssertionError(f"import rushlight takes {best:.3f} s beyond numpy, budget {BUDGET} s")


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
        importlib.import_module(module.name)
print(sorted(set(PUBLIC) - functions), sorted(set(dir(rushlight.Tensor)) - methods))
print([name for name in PUBLIC if name not in vars(rushlight)])
"""
    assert in_a_process(code) == "[] []\n[]\n"
