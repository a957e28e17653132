"""What a program sees of a device: where tensors live, what is refused, what is counted."""

from __future__ import annotations

import copy
import gc
import io
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base.stats import stats
from rushlight.engine.placement import PlacedPlan
from rushlight.ops.creation import filled
from tests.devices.emulated.places import LAST, ON_CARD
from tests.lowering.executors import run


def test_the_device_is_there_and_says_what_it_is() -> None:
    count = torch.cuda.device_count()
    assert torch.cuda.is_available() and (ON_CARD or count == 2)
    assert ON_CARD or "emulated" in torch.cuda.get_device_name()
    assert torch.cuda.get_device_properties(LAST).warp_size == 32
    assert torch.cuda.current_device() == 0
    with torch.cuda.device(count - 1):
        assert torch.ones(2, device="cuda").device == torch.device(LAST)
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(2, device=f"cuda:{count}")


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(2, 3, device="cuda"),
        lambda: torch.tensor([1.0, 2.0], device="cuda:0"),
        lambda: torch.ones(3).cuda(),
        lambda: torch.ones(3).to("cuda") * 2 + 1,
        lambda: torch.arange(4, device="cuda"),
        lambda: torch.zeros_like(torch.ones(2, device="cuda")),
        lambda: torch.ones(2, device="cuda").new_full((3,), 5.0),
        lambda: torch.empty(3, device="cuda"),
        lambda: torch.eye(3, device="cuda"),
        lambda: torch.ones(4, 4, device="cuda")[1:, 2],
        lambda: torch.as_tensor(np.ones(3, np.float32), device="cuda"),
        lambda: torch.ones(3, device="cuda").clone().detach(),
        lambda: torch.linspace(0, 1, 5, device="cuda"),
        lambda: torch.ones(3, device="cuda").sum(),
        lambda: torch.ones(3, device="cuda").nonzero(),
        lambda: torch.tensor([3, 1, 1], device="cuda").unique(),
        lambda: torch.ones(3, device="cuda")[torch.tensor([True, False, True])],
        lambda: nn.functional.one_hot(torch.tensor([0, 2], device="cuda")),
        lambda: torch.where(torch.ones(3, device="cuda") > 0, 1.0, 2.0),
        lambda: torch.multinomial(torch.ones(3, device="cuda"), 2),
        lambda: torch.ones(3, device="cuda").multinomial(2),
        lambda: torch.bincount(torch.tensor([1, 1, 2], device="cuda")),
        lambda: copy.deepcopy(torch.ones(3, device="cuda")),
    ],
)
def test_results_live_on_the_device(make) -> None:
    assert make().device == torch.device("cuda:0")


def test_printing_names_the_device() -> None:
    x = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    assert repr(x.detach()) == "tensor([1., 2.], device='cuda:0')"
    assert repr(x * 2) == "tensor([2., 4.], device='cuda:0', grad_fn=<MulBackward0>)"
    assert x.is_cuda and x.type() == "torch.cuda.FloatTensor" and x.get_device() == 0


def test_old_constructors_make_tensors_on_the_device() -> None:
    x = torch.cuda.FloatTensor([1, 2])
    assert repr(x) == "tensor([1., 2.], device='cuda:0')"
    assert torch.cuda.LongTensor(2, 3).shape == (2, 3)
    assert isinstance(x, torch.cuda.FloatTensor) and not isinstance(x, torch.FloatTensor)
    assert not isinstance(x, torch.cuda.HalfTensor)
    assert isinstance(x.cpu(), torch.FloatTensor)


def test_memory_is_not_the_hosts() -> None:
    x = torch.ones(3, device="cuda")
    with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy"):
        x.numpy()
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        np.asarray(x)
    assert x.data_ptr() > 1 << 50
    assert x.cpu().numpy().tolist() == [1.0, 1.0, 1.0]


def test_devices_do_not_mix() -> None:
    x, y = torch.ones(3), torch.ones(3, device="cuda")
    message = "found at least two devices, cuda:0 and cpu"
    for operation in (
        lambda: x + y,
        lambda: y @ x,
        lambda: torch.cat([y, x]),
        lambda: torch.where(y > 0, x, y),
        lambda: y.add_(x),
        lambda: nn.Linear(3, 2)(y),
    ):
        with pytest.raises(RuntimeError, match=message):
            operation()
    if torch.cuda.device_count() > 1:
        with pytest.raises(RuntimeError, match="cuda:0 and cuda:1"):
            y + torch.ones(3, device="cuda:1")
    # A number may come from anywhere, and copying crosses.
    assert (y + torch.tensor(2.0)).tolist() == [3.0, 3.0, 3.0]
    assert y.copy_(torch.arange(3.0)).tolist() == [0.0, 1.0, 2.0]
    assert x.copy_(y).tolist() == [0.0, 1.0, 2.0] and x.device.type == "cpu"


def test_gradients_cross_devices() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], device="cuda", requires_grad=True)
    (x.cuda() * w).sum().backward()
    assert x.grad.device.type == "cpu" and w.grad.device.type == "cuda"
    assert x.grad.tolist() == [3.0, 4.0] and w.grad.tolist() == [1.0, 2.0]
    v = torch.ones(3, device="cuda", requires_grad=True)
    v.sum().backward()
    assert v.grad.device.type == "cuda"


def test_views_and_writes() -> None:
    x = torch.arange(12.0, device="cuda").reshape(3, 4)
    row = x[1]
    row.mul_(10)
    x[:, 0] = -1
    x[2, 2:] += 5
    assert x.device.type == row.device.type == "cuda"
    assert x.tolist() == [[-1, 1, 2, 3], [-1, 50, 60, 70], [-1, 9, 15, 16]]
    assert row.tolist() == [-1, 50, 60, 70]


def test_a_module_moves_and_its_state_travels() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("cuda")
    assert {p.device.type for p in model.state_dict().values()} == {"cuda"}
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, device="cuda")).sum().backward()
    optimizer.step()
    assert {p.grad.device.type for p in model.parameters()} == {"cuda"}
    assert next(iter(optimizer.state.values()))["exp_avg"].device.type == "cuda"
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    for location, kind in ((None, "cuda"), ("cpu", "cpu"), (LAST, "cuda")):
        file.seek(0)
        found = torch.load(file, map_location=location)["model"]["0.weight"]
        assert found.device.type == kind
        assert found.tolist() == model[0].weight.tolist()
    assert torch.device(LAST) == found.device
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other.load_state_dict(model.state_dict())
    assert other[0].weight.device.type == "cpu"
    assert other[0].weight.tolist() == model[0].weight.tolist()
    assert model.cpu()[0].weight.device.type == "cpu"


def test_pickles_keep_the_device() -> None:
    x = pickle.loads(pickle.dumps(torch.arange(3, device="cuda")))
    assert x.device.type == "cuda" and x.tolist() == [0, 1, 2]


def test_a_loader_pins_and_sends() -> None:
    data = torch.utils.data.TensorDataset(torch.arange(10.0))
    loader = torch.utils.data.DataLoader(data, batch_size=4, pin_memory=True)
    sent = [x.to("cuda", non_blocking=True) for (x,) in loader]
    assert torch.cat(sent).tolist() == list(range(10))
    assert torch.ones(2).pin_memory().is_pinned()


def test_indices_are_checked() -> None:
    table = torch.zeros(4, 2, device="cuda")
    with pytest.raises(IndexError):
        table[torch.tensor([0, 9], device="cuda")].sum().item()
    assert table.sum().item() == 0


def test_what_has_no_kernel_is_counted_and_named() -> None:
    stats.reset()
    x = torch.tensor([[4.0, 2.0], [2.0, 3.0]], device="cuda")
    factor = torch.linalg.cholesky(x)
    assert factor.device.type == "cuda" and factor[0, 0].item() == 2.0
    counted = torch.stats()
    assert counted["host_steps"] >= 1
    assert any("host" in r and "cholesky" in r for r in counted["fallback_reasons"])


def test_memory_is_counted_and_runs_out_without_loss() -> None:
    gc.collect()  # what earlier tests left must not be freed in between
    before = torch.cuda.memory_allocated()
    x = torch.ones(1 << 20, device="cuda")
    assert torch.cuda.memory_allocated() - before >= 4 << 20
    kept = x * 2
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"Tried to allocate 8\.00 GiB"):
        torch.empty(1 << 31, device="cuda")
    assert kept[:2].tolist() == [2.0, 2.0]
    del x, kept
    assert torch.cuda.memory_allocated() == before
    with pytest.raises(RuntimeError):
        torch.cuda.set_device(5)


def test_events_time_work() -> None:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    torch.ones(100, device="cuda").exp().sum()
    end.record()
    torch.cuda.synchronize()
    assert start.elapsed_time(end) > 0 and end.query()
    with torch.cuda.stream(torch.cuda.Stream()) as _:
        assert torch.ones(2, device="cuda").sum().item() == 2


def test_the_default_device_may_be_one() -> None:
    with torch.device("cuda"):
        x = torch.ones(3)
        layer = nn.Linear(3, 2)
    assert x.device.type == layer.weight.device.type == "cuda"
    assert layer(x).shape == (2,)


def test_a_write_of_a_number_to_the_cpu_stays_there(monkeypatch) -> None:
    """Numbers belong to no device: where they are written to the CPU, it computes the plan alone,
    also once a device is in use."""
    torch.ones(3, device="cuda").sum().item()
    placed: list = []
    monkeypatch.setattr(PlacedPlan, "__init__", lambda *arguments: placed.append(arguments))

    def write() -> list:
        x = torch.arange(3.0) * 2
        x.fill_(3.0)
        x[1] = torch.full((), 2.0)
        return [x, torch.arange(4)]

    found, plans = run(write, "compiled")
    assert [f.tolist() for f in found] == [[3.0, 2.0, 3.0], [0, 1, 2, 3]]
    assert plans and not any(plan.fallbacks for plan in plans) and not placed


def test_what_belongs_to_no_device_does_not_settle_at_a_flush() -> None:
    border = filled((2, 3), 7.0, torch.float32)
    torch.ones(2).tolist()
    assert (border + torch.ones(2, 3, device="cuda")).device.type == "cuda"
    assert border.device.type == "cpu" and border.tolist() == [[7.0] * 3] * 2


def test_sizes_of_packed_sequences_are_the_cpus_under_another_default() -> None:
    with torch.device("cuda"):
        padded = torch.ones(3, 2, 4)
        packed = nn.utils.rnn.pack_padded_sequence(padded, [3, 1])
        back, lengths = nn.utils.rnn.pad_packed_sequence(packed)
    assert packed.data.device.type == back.device.type == "cuda"
    assert packed.batch_sizes.device.type == lengths.device.type == "cpu"


def test_it_is_the_accelerator() -> None:
    accelerator = torch.accelerator
    count = accelerator.device_count()
    assert accelerator.is_available() and count == torch.cuda.device_count()
    assert accelerator.current_accelerator() == torch.device("cuda")
    assert accelerator.current_device_index() == 0
    with accelerator.device_index(count - 1):
        assert torch.ones(2, device="cuda").device.index == count - 1
    assert accelerator.current_device_index() == 0
    x = torch.ones(1000, device="cuda") * 2
    accelerator.synchronize()
    assert accelerator.memory_allocated() >= 4000
    assert accelerator.max_memory_allocated() >= accelerator.memory_allocated()
    assert accelerator.get_memory_info()[1] == torch.cuda.mem_get_info()[1]
    assert torch.bfloat16 in accelerator.get_device_capability()["supported_dtypes"]
    accelerator.empty_cache()
    assert x.sum().item() == 2000


def test_a_report_says_where_kernels_ran_and_what_did_not() -> None:
    x = torch.tensor([[4.0, 2.0], [2.0, 3.0]], device="cuda")
    found = torch.explain(lambda x: (torch.linalg.cholesky(x @ x) + x).cpu() * 3, x)
    text = str(found)
    assert "GB/s on cuda:0" in text and f"on cuda:0 ({torch.cuda.get_device_name()[:20]}" in text
    assert "on the CPU:" in text and "through the host: cholesky" in text
    assert "matmul_2x2x2_f32" in text and found.refusals
    assert isinstance(torch.why_recompiled(), list)
