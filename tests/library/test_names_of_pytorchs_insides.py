"""Names that packages take from inside of PyTorch mean here what they mean there."""

from __future__ import annotations

import io
from typing import Any

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m._check(False, lambda: "no"),
        lambda m: m._check(1),
        lambda m: m._check_index(False),
        lambda m: m._check_value(False, lambda: "no"),
        lambda m: m._check_type(False, lambda: "no"),
        lambda m: m._check_tensor_all(m.tensor([True, False]), lambda: "no"),
        lambda m: m._check_tensor_all(m.tensor([1, 0])),
        lambda m: m._assert(False, "no"),
        lambda m: m._assert_async(m.tensor(0)),
        lambda m: m._check(True) or m._check_tensor_all(m.ones(3).bool()) or "passed",
    ],
)
def test_conditions_raise_what_pytorch_raises(call: Any) -> None:
    def outcome(module: Any) -> Any:
        try:
            return call(module)
        except Exception as error:
            return type(error).__name__, str(error)[:40]

    assert outcome(rl) == outcome(torch)


def test_sizes_are_numbers() -> None:
    def of(module: Any) -> list:
        return [
            module.sym_int(2.7), module.sym_float(2), module.sym_max(2, 3.0),
            module.sym_min(2, 3.0), module.sym_not(True), module.sym_ite(True, 1, 2),
            module.sym_sum([1, 2, 3]),
            isinstance(3, (module.SymInt, module.SymFloat, module.SymBool)),
        ]  # fmt: skip

    assert of(rl) == of(torch)


def test_steps_of_the_library_compute() -> None:
    def of(module: Any) -> list:
        x = module.arange(12.0).reshape(3, 4)
        aten = module.ops.aten
        softmax = aten._softmax.default(x, 1, False)
        made = [
            aten.index.Tensor(x, [None, module.tensor([0, 2])]),
            aten.slice.Tensor(x, 1, 1, 4, 2),
            aten.alias.default(x), aten._unsafe_view.default(x, [4, 3]), softmax,
            aten._softmax_backward_data.default(x, softmax, 1, x.dtype),
            aten._to_copy.default(x, dtype=module.int64), aten.unsqueeze_copy.default(x, 0),
        ]  # fmt: skip
        return [(str(t.dtype), [round(v, 5) for v in t.flatten().tolist()]) for t in made]

    assert of(rl) == of(torch)


def test_a_checkpoints_records_are_read_one_by_one(tmp_path: Any) -> None:
    rl.save({"w": rl.tensor([1.0, 2.0])}, tmp_path / "w.pt")
    mine, theirs = (m.PyTorchFileReader(str(tmp_path / "w.pt")) for m in (rl, torch._C))
    assert sorted(mine.get_all_records()) == sorted(theirs.get_all_records())
    assert mine.get_record("data/0") == theirs.get_record("data/0")
    assert mine.has_record("data/0") and not mine.has_record("data/1")
    assert mine.get_storage_from_record("data/0", 2, rl.float32).tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="failed locating file"):
        mine.get_record("data/1")
    assert io.BytesIO(mine.get_record("data.pkl")).read(1) == b"\x80"


def test_a_batch_of_indices_is_an_index_inside_of_vmap() -> None:
    mask = rl.tensor([[True, False, True], [False, True, True]])
    over = rl.vmap(rl.vmap(lambda i, j: mask[i, j], in_dims=(None, 0)), in_dims=(0, None))
    assert over(rl.arange(2), rl.arange(3)).tolist() == mask.tolist()


def test_packages_ask_what_a_tensor_is_and_what_extra_state_is_called() -> None:
    from rushlight.nn.modules.module import _EXTRA_STATE_KEY_SUFFIX

    assert torch.nn.modules.module._EXTRA_STATE_KEY_SUFFIX == _EXTRA_STATE_KEY_SUFFIX
    assert rl.ones(2).is_inference() is torch.ones(2).is_inference()
