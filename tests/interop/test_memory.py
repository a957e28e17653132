"""Buffers, storages and Python functions of elements, as PyTorch's."""

from __future__ import annotations

import warnings

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def same(body):
    outcomes = []
    for module in (rl, torch):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's TypedStorage is deprecated there
                outcomes.append(body(module))
        except Exception as error:
            outcomes.append((type(error).__name__, str(error)))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int32"},
        {"dtype": "bfloat16"},
        {"dtype": "float32", "requires_grad": True},
        {"dtype": "int32", "count": 1, "offset": 4},
        {"dtype": "int16", "offset": 2},
        {"dtype": "int32", "count": 0},
        {"dtype": "int32", "offset": 9},
        {"dtype": "int32", "offset": -1},
        {"dtype": "int32", "offset": 1},
        {"dtype": "int32", "count": 3},
    ],
    ids=str,
)
def test_frombuffer(options):
    def body(module):
        chosen = dict(options, dtype=getattr(module, options["dtype"]))
        return repr(module.frombuffer(bytearray(b"12345678"), **chosen))

    same(body)


def test_frombuffer_shares_memory_and_refuses_other_objects():
    memory = bytearray(8)
    tensor = rl.frombuffer(memory, dtype=rl.uint8)
    memory[1] = 7
    tensor[0] = 3
    assert tensor.tolist()[:2] == [3, 7]
    assert memory[0] == 3
    same(lambda m: m.frombuffer([1], dtype=m.int8))
    same(lambda m: m.frombuffer(b"", dtype=m.int8))
    with pytest.warns(UserWarning, match="The given buffer is not writable"):
        rl.frombuffer(b"abc", dtype=rl.uint8)


def test_storages_tell_what_is_shared():
    def body(module):
        base = module.arange(6.0)
        view, other = base[2:4], base.clone()
        storage = view.storage()
        return (
            base.untyped_storage().data_ptr() == view.untyped_storage().data_ptr(),
            base.untyped_storage().data_ptr() == other.untyped_storage().data_ptr(),
            base.untyped_storage().data_ptr() == base.data_ptr(),
            base.untyped_storage().nbytes(),
            len(view.untyped_storage()),
            len(storage),
            storage.tolist(),
            storage[1],
            repr(storage),
            repr(view.untyped_storage()),
        )

    same(body)


def test_is_set_to_compares_windows():
    def body(module):
        x = module.arange(6.0)
        return x.is_set_to(x.view(6)), x.is_set_to(x[1:]), x.is_set_to(x.clone())

    assert same(body) == (True, False, False)


def test_as_subclass_keeps_memory_and_history():
    def body(module):
        class Named(module.Tensor):
            pass

        x = module.ones(2, requires_grad=True)
        made = (x * 2).as_subclass(Named)
        made.sum().backward()
        return type(made).__name__, x.grad.tolist()

    same(body)


def test_python_functions_of_elements():
    same(lambda m: m.arange(6.0).reshape(2, 3).t().apply_(lambda v: v * v).tolist())
    same(lambda m: m.arange(3).apply_(lambda v: v + 1).tolist())
    same(lambda m: m.arange(3.0).map_(m.ones(3), lambda x, y: x - y).tolist())
    assert same(lambda m: m.ones(1, requires_grad=True).apply_(abs))[0] == "RuntimeError"


@pytest.mark.parametrize("size", [(3,), (2, 3), (1, 3), (2, 1), (1,), (), (2,), (3, 3)])
def test_sum_to_size(size):
    same(lambda m: m.arange(6.0).reshape(2, 3).sum_to_size(size).tolist())
