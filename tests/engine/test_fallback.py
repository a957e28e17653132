"""Where no machine code can be made the reference rules compute, and it is said why."""

import gc
import os
import subprocess
import sys

import pytest

import rushlight as rl
from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.base.stats import stats
from rushlight.engine import compiled, fallback, kernels, native
from rushlight.runtime import jit, kernel_cache
from rushlight.tape.memo import memo

LINEAR = """
import warnings
import rushlight as rl

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        x = rl.ones(3) * 2.0
        print((x + 1.0).tolist())
    rl.manual_seed(0)
    print(rl.randn(1000).shape)
print(*[str(w.message) for w in caught], sep="\\n")
print(rl.stats()["fallback_reasons"])
"""


def run(program, **environment):
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "RUSHLIGHT_EXECUTOR": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def compiled_executor(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    monkeypatch.setattr(fallback, "_warned", set())
    memo.clear()
    yield
    memo.clear()


@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_without_llvmlite_everything_is_computed_by_numpy(tmp_path, error):
    (tmp_path / "llvmlite.py").write_text(f"raise {error}('no LLVM')\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    output = run(LINEAR, PYTHONPATH=path)
    assert output.count("[3.0, 3.0, 3.0]") == 2
    assert output.count("the compiler does not work here") == 2  # one warning, one reason
    assert f"{error}: no LLVM" in output


def test_the_default_compiles_and_says_nothing(tmp_path):
    output = run(LINEAR, RUSHLIGHT_CACHE_DIR=str(tmp_path))
    assert output == "[3.0, 3.0, 3.0]\n" * 2 + "torch.Size([1000])\n\n{}\n"
    assert list(tmp_path.glob("*.obj"))


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null"])
def test_no_place_for_kernels_is_no_error(place):
    output = run(LINEAR, RUSHLIGHT_CACHE_DIR=place)
    assert output == "[3.0, 3.0, 3.0]\n" * 2 + "torch.Size([1000])\n\n{}\n"


def test_a_plan_that_cannot_be_compiled_is_tried_once_and_recorded(monkeypatch):
    tried = []

    def refuse(plan, nodes):
        tried.append(plan)
        raise ValueError("too hard")

    monkeypatch.setattr(compiled, "CompiledPlan", refuse)
    reason = "cannot be compiled (ValueError: too hard)"
    before = stats.fallback_reasons.get(reason, 0)

    def program():
        return (rl.tensor([1.0, 2.0]) * 3.0).tolist()

    with pytest.warns(CompilerWarning, match="too hard") as caught:
        assert [program() for _ in range(5)] == [[3.0, 6.0]] * 5
    assert len(caught) == 1
    # The second round may be recorded on another path than the first.
    assert len(tried) == len(set(map(id, tried))) <= 2
    assert stats.fallback_reasons[reason] == before + 5


def test_an_interrupt_during_a_compile_loses_nothing(monkeypatch):
    compile_text = kernel_cache.compile_text

    def interrupted(*arguments):
        monkeypatch.setattr(kernel_cache, "compile_text", compile_text)
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel_cache, "compile_text", interrupted)
    monkeypatch.setattr(compiled.CompiledPlan, "__init__", _without_caches(monkeypatch))
    y = rl.tensor([1.0, 2.0]).cosh() * 3.0 + 0.125
    with pytest.raises(KeyboardInterrupt):
        y.tolist()
    expected = (rl.tensor([1.0, 2.0], dtype=rl.float64).cosh() * 3.0 + 0.125).tolist()
    assert y.tolist() == pytest.approx(expected)


def _without_caches(monkeypatch):
    """Plans that find no kernel made before."""
    make = compiled.CompiledPlan.__init__

    def made(self, plan, nodes):
        monkeypatch.setattr(kernels, "_cache", kernel_cache.KernelCache())
        make(self, plan, nodes)

    return made


def test_an_interrupt_after_kernels_ran_loses_nothing(monkeypatch):
    w = rl.tensor([1.0, 2.0, 3.0])
    optimizer = rl.optim.SGD([w.requires_grad_()], lr=0.5, momentum=0.5)
    run_kernels = native.NativeRun.run

    def interrupted(self, *arguments):
        run_kernels(self, *arguments)
        monkeypatch.setattr(native.NativeRun, "run", run_kernels)
        raise KeyboardInterrupt

    for step in range(4):
        optimizer.zero_grad()
        (w * w).sum().backward()
        if step == 2:
            monkeypatch.setattr(native.NativeRun, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                optimizer.step()
        else:
            optimizer.step()
        w.tolist()
    expected, momentum = 1.0, 0.0
    for _ in range(4):
        momentum = 0.5 * momentum + 2 * expected
        expected -= 0.5 * momentum
    assert w[0].item() == expected


def test_programs_that_never_come_back_do_not_fill_the_process_with_code(monkeypatch):
    monkeypatch.setattr(kernels, "MOST_LIBRARIES", jit.loaded_libraries() + 20)
    monkeypatch.setattr(kernels._cache, "limit_bytes", 10 * kernel_cache.LINKED_BYTES)
    for number in range(80):
        y = rl.tensor([1.0, 2.0])
        for place in range(7):
            y = y.abs() if number >> place & 1 else -y * 2.0
        y.tolist()
    gc.collect()
    assert jit.loaded_libraries() <= kernels.MOST_LIBRARIES + 1


def test_the_doctor_says_that_the_compiler_does_not_work(tmp_path):
    (tmp_path / "llvmlite.py").write_text("raise ImportError('no LLVM')\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    result = subprocess.run(
        [sys.executable, "-m", "rushlight", "doctor"],
        env={**os.environ, "RUSHLIGHT_EXECUTOR": "", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "the compiler does not work here (ImportError: no LLVM)" in result.stdout
    assert "Executor     reference: NumPy" in result.stdout
    assert "Kernels      none are made" in result.stdout
