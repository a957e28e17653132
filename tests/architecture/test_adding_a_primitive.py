"""A unary primitive is added by one row in each of the files that CONTRIBUTING.md lists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight

PACKAGE = Path(rushlight.__file__).parent
ROOT = Path(__file__).parents[2]
MOST_FILES = 6

# exp(-x * x), as somebody who follows CONTRIBUTING.md would add it: what is appended to each file.
ROWS = {
    "src/rushlight/primitives/elementwise.py": """
gaussian = _define("gaussian", 1, _inexact_unary)
""",
    "src/rushlight/reference/elementwise.py": """
define(p.gaussian, __name__, lambda x: np.exp(-x * x))
""",
    "src/rushlight/vjp/elementwise.py": """

def _gaussian_vjp(g, out, x):
    return scaled(_times(g, p.mul(out, x)), -2.0)


define(p.gaussian, __name__, wrt(_gaussian_vjp, 0, OUT))
""",
    "src/rushlight/lowering/elementwise.py": """
define(p.gaussian, __name__, lambda x: call("exp", call("neg", call("mul", x, x))))
""",
    "tests/samples/elementwise.py": """
ROWS += (_unary("gaussian", lambda x: torch.exp(-x * x), dtypes=FLOATING),)
""",
    "src/rushlight/ops/pointwise.py": """
gaussian = _inexact_function("gaussian", p.gaussian, "exp(-input**2)")
""",
}

USE = """
import numpy as np
import rushlight as rl
from rushlight.func import grad, jvp, vmap

x = rl.linspace(-2, 2, 12, dtype=rl.float64).reshape(3, 4).requires_grad_()
y = rl.gaussian(x)
expected = np.exp(-x.detach().numpy() ** 2)
np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12)
np.testing.assert_array_equal(x.gaussian().detach().numpy(), y.detach().numpy())
y.sum().backward()
slope = -2 * x.detach().numpy() * expected
np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-12)
z = x.detach()
_, tangent = jvp(rl.gaussian, (z,), (rl.ones_like(z),))
np.testing.assert_allclose(tangent.numpy(), slope, rtol=1e-12)
each = vmap(grad(lambda row: rl.gaussian(row).sum()))(z)
np.testing.assert_allclose(each.numpy(), slope, rtol=1e-12)
fused = (rl.gaussian(z) + 1).numpy()
np.testing.assert_allclose(fused, expected + 1, rtol=1e-12)
"""


@pytest.fixture(scope="module")
def changed_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the new rows, and of the tests that ask for them."""
    copy = tmp_path_factory.mktemp("checkout")
    leave = shutil.ignore_patterns("__pycache__", "*.pyi")
    shutil.copytree(PACKAGE, copy / "src/rushlight", ignore=leave)
    shutil.copytree(ROOT / "tests/samples", copy / "tests/samples", ignore=leave)
    for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copy(ROOT / "tests/test_primitives.py", copy / "tests")
    for name, rows in ROWS.items():
        with open(copy / name, "a", encoding="utf-8") as file:
            file.write(rows)
    return copy


def run_in(copy: Path, arguments: list[str], executor: str) -> None:
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join((str(copy / "src"), str(copy))),
        RUSHLIGHT_EXECUTOR=executor,
        RUSHLIGHT_SELFCOMPILE="0",
    )
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_contributing_lists_the_files_and_they_are_few() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("## Adding a primitive")[1].split("\n\n| concern")[1].split("\n\n")[0]
    listed = re.findall(r"\| `([\w/.]+)` \|", table)
    assert sorted(listed) == sorted(ROWS)
    assert len(listed) <= MOST_FILES


@pytest.mark.parametrize("executor", ["compiled", "reference"])
def test_six_rows_make_a_primitive_that_everything_knows(changed_copy: Path, executor: str) -> None:
    """Method, function, gradient, forward derivative, batches and fusion."""
    run_in(changed_copy, ["-c", USE], executor)


def test_its_samples_are_compared_like_everybody_elses(changed_copy: Path) -> None:
    """PyTorch, finite differences and cut tapes; with the test that asks for every row."""
    pytest.importorskip("torch")
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_primitives.py"]
    run_in(changed_copy, [*arguments, "-k", "gaussian or row_of_samples"], "compiled")
