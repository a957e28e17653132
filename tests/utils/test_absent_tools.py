"""What cannot be here has its name, and its use says what to do; reports and flags are real."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.autograd import graph
from rushlight.utils import collect_env, cpp_extension, deterministic, mobile_optimizer


def test_extensions_cannot_be_built_and_say_what_to_write() -> None:
    assert cpp_extension.CUDA_HOME is None and cpp_extension.include_paths() == []
    assert not cpp_extension.is_ninja_available() and cpp_extension.library_paths() == []
    for build in (cpp_extension.load, cpp_extension.load_inline, cpp_extension.CppExtension,
                  cpp_extension.CUDAExtension, cpp_extension.BuildExtension):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"autograd\.Function or torch\.library"):
            build("name", ["file.cpp"])


def test_the_report_says_what_runs(capsys) -> None:
    collect_env.main()
    shown = capsys.readouterr().out
    assert f"rushlight {rl.__version__}" in shown and "numpy==" in shown
    assert collect_env.get_env_info().python_platform in shown


def test_a_module_for_phones_is_the_module_in_evaluation() -> None:
    module = rl.nn.Dropout().train()
    assert mobile_optimizer.optimize_for_mobile(module) is module and not module.training
    with pytest.raises(TypeError, match="ScriptModule is expected"):
        mobile_optimizer.optimize_for_mobile(len)
    assert deterministic.fill_uninitialized_memory is True


def test_a_budget_of_memory_is_checked_and_refused_outside_of_traced_code() -> None:
    with pytest.raises(TypeError, match="expects a float"):
        graph.region_activation_memory_budget(True)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        graph.region_activation_memory_budget(2.0)
    with pytest.raises(RuntimeError, match="checkpoint"):
        graph.region_activation_memory_budget(0.5)
    graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    graph.set_override_stale_capture_stream(True)


def test_a_sparse_system_is_solved() -> None:
    matrix = rl.tensor([[2.0, 0.0], [1.0, 4.0]])
    right = rl.tensor([[1.0], [3.0]])
    found = rl.sparse.spsolve(matrix.to_sparse_csr(), right)
    assert rl.allclose(matrix @ found, right)
    with pytest.raises(RuntimeError, match="CSR"):
        rl.sparse.spsolve(matrix, right)
