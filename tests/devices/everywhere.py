"""Any tests with the emulated device as the place of new tensors:

    python -m pytest -p tests.devices.everywhere tests/ops tests/nn tests/autograd tests/optim

Arrays are read by way of the CPU, arrays become tensors of the device, texts are those of the CPU,
and numbers are drawn as the CPU draws them, so that what is compared with PyTorch's CPU is the
arithmetic.  What then still differs is about devices: it is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import rushlight
from rushlight.base.device import set_default_device
from rushlight.engine import cuda
from rushlight.ops import generator
from rushlight.runtime.emulator import RANDOM, Emulator
from rushlight.tensor.tensor import Tensor

# Part of a test's name -> why it says nothing of a device.
ABOUT_DEVICES = {
    "test_a_cuda_device_is_refused": "there is one",
    "device='cuda'": "there is one",
    "test_a_module_without_a_gpu": "there is one",
    "test_a_tensor_from_an_array_shares_its_memory": "memory of a device is not NumPy's",
    "test_data_ptr_is_the_address": "memory of a device is not NumPy's",
    "test_memory_handed_out_has_the_strides": "memory of a device is not NumPy's",
    "test_writes_that_autograd_follows_reach_memory": "memory of a device is not NumPy's",
    "test_a_parameter_shares_memory_and_prints": "memory of a device is not NumPy's",
    "test_creation_agrees_with_torch[strides]": "what a device computed is row-major",
    "test_random_numbers_fall_in_the_order_of_memory": "numbers of a device come by its own order",
    "test_a_generator_can_be_passed": "a generator of the CPU draws none for a device",
    "out of range": "an index is checked where it is known: at the flush",
    "test_an_index_in_brackets_out_of_range": "an index is checked where it is known: at the flush",
    "test_checkpoints_go_both_ways": "a PyTorch without CUDA refuses files of a device",
    "test_batch_sizes_that_do_not_describe": "sizes of batches are the CPU's",
    "test_threads_that_share_the_units": "they are the CPU's",
    "test_the_matrix_of_scores_is_not_in_memory": "the blocks are the CPU's",
    "test_few_queries_are_left_to_products": "the blocks are the CPU's",
    "test_a_named_result_prints": "PyTorch's text has no device",
    "test_containers_print_as_in_torch": "containers name the device of what they hold",
    "test_a_member_is_replaced_only_by_its_own_kind": "the error names the type of a device",
    "test_a_result_of_an_operation_is_no_parameter": "the error names the type of a device",
    "test_attention_with_weights_gives_the_same": "in tiles sums have another order",
    "F.scaled_dot_product_attention(im, im, im)": "PyTorch's name is that of its CPU",
    "test_derivatives_at_infinite_scores": "the file makes tensors when it is read, on the CPU",
    "test_each_derivative_of_a_normalisation": "the file makes tensors when it is read, on the CPU",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part, reason in ABOUT_DEVICES.items():
            if part in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))


def _without_device(patched: pytest.MonkeyPatch, name: str, *parts: str) -> None:
    """Texts as the CPU's tensors have them."""
    read = getattr(Tensor, name)

    def shorter(self, *arguments, **keywords):
        text = read(self, *arguments, **keywords)
        for part in parts if isinstance(text, str) else ():
            text = text.replace(part, "torch." if part == "torch.cuda." else "")
        return text

    patched.setattr(Tensor, name, shorter)


def _read_from_the_cpu(patched: pytest.MonkeyPatch, name: str) -> None:
    read = getattr(Tensor, name)

    def from_the_cpu(self, *arguments, **keywords):
        return read(self.cpu() if self.is_cuda else self, *arguments, **keywords)

    patched.setattr(Tensor, name, from_the_cpu)


@pytest.fixture(autouse=True)
def _everything_on_the_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    driver = Emulator(devices=2)
    driver.order = RANDOM
    cuda.use_driver(driver)
    _read_from_the_cpu(monkeypatch, "numpy")
    _read_from_the_cpu(monkeypatch, "__array__")
    _without_device(monkeypatch, "__repr__", ", device='cuda:0'", ",\n       device='cuda:0'")
    _without_device(monkeypatch, "type", "torch.cuda.")
    from_numpy = rushlight.from_numpy
    monkeypatch.setattr(rushlight, "from_numpy", lambda array: from_numpy(array).cuda())
    monkeypatch.setattr(type(generator.of_devices), "of", lambda *_: generator.default_generator)
    set_default_device("cuda")
    yield
    set_default_device(None)
    cuda.use_driver(None)
