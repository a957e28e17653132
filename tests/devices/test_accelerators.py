"""There is no accelerator, and everything says so: as PyTorch built for the CPU does."""

from __future__ import annotations

import pytest

import rushlight
from rushlight import backends, cuda

NOT_COMPILED = "Torch not compiled with CUDA enabled"

# Questions, and the calls that need a device: PyTorch's CPU build answers and raises the same.
QUESTIONS = [
    "is_available()",
    "is_initialized()",
    "is_bf16_supported()",
    "device_count()",
    "get_arch_list()",
    "get_rng_state_all()",
    "memory_allocated()",
    "max_memory_allocated()",
    "memory_reserved()",
    "max_memory_reserved()",
    "manual_seed(1)",
    "manual_seed_all(1)",
    "seed()",
    "seed_all()",
    "empty_cache()",
]
DEMANDS = [
    "init()",
    "current_device()",
    "synchronize()",
    "get_device_name()",
    "get_device_capability()",
    "get_device_properties(0)",
    "mem_get_info()",
    "get_rng_state()",
    "current_stream()",
]


@pytest.mark.parametrize("call", QUESTIONS)
def test_questions_are_answered_as_by_pytorch(call: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.version.cuda is not None:
        pytest.skip("this PyTorch has CUDA")
    assert eval(f"cuda.{call}") == eval(f"torch.cuda.{call}")


@pytest.mark.parametrize("call", DEMANDS)
def test_what_needs_a_device_raises_as_in_pytorch(call: str) -> None:
    with pytest.raises(AssertionError, match=NOT_COMPILED):
        eval(f"cuda.{call}")
    torch = pytest.importorskip("torch")
    if torch.version.cuda is None:
        with pytest.raises(AssertionError, match=NOT_COMPILED):
            eval(f"torch.cuda.{call}")


def test_choosing_a_device_raises() -> None:
    with pytest.raises(AssertionError, match=NOT_COMPILED):
        cuda.set_device(0)


@pytest.mark.parametrize("name", ["Stream", "Event"])
def test_streams_and_events_cannot_be_made(name: str) -> None:
    with pytest.raises(RuntimeError, match="requires CUDA support"):
        getattr(cuda, name)()


def test_contexts_change_nothing() -> None:
    with cuda.device(0), cuda.stream(None):
        assert not cuda.is_available()
    with pytest.raises(AssertionError, match=NOT_COMPILED):
        cuda.stream("another")


@pytest.mark.parametrize(
    "use",
    [
        lambda: rushlight.zeros(2).cuda(),
        lambda: rushlight.zeros(2).to("cuda"),
        lambda: rushlight.zeros(2, device="cuda"),
        lambda: rushlight.nn.Linear(2, 1).cuda(),
        lambda: rushlight.nn.Linear(2, 1).to("cuda:0"),
    ],
)
def test_moving_to_cuda_raises_pytorchs_error(use) -> None:
    with pytest.raises(AssertionError, match=NOT_COMPILED):
        use()


def test_the_usual_choice_of_a_device_chooses_the_cpu() -> None:
    name = "cuda" if cuda.is_available() else "mps" if backends.mps.is_available() else "cpu"
    x = rushlight.ones(2).to(rushlight.device(name))
    assert x.device == rushlight.device("cpu") and x.device.type == "cpu"


def test_no_backend_of_pytorchs_is_available() -> None:
    for name in ("cudnn", "mkl", "mkldnn", "mps", "openmp"):
        assert getattr(backends, name).is_available() is False
    assert backends.mps.is_built() is False and backends.cuda.is_built() is False
    assert backends.cudnn.version() is None


def test_switches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.cudnn, "benchmark", True)
    assert rushlight.backends.cudnn.benchmark is True
    monkeypatch.setattr(backends.cuda.matmul, "allow_tf32", True)
    assert rushlight.backends.cuda.matmul.allow_tf32 is True


def test_versions_agree() -> None:
    assert rushlight.__version__ == rushlight.version.__version__
    assert rushlight.version.cuda is None and rushlight.version.hip is None
