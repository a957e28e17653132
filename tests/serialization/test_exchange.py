"""Checkpoints go both ways between rushlight and PyTorch."""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rushlight.base import dtypes
from rushlight.base.device import device
from rushlight.base.formats import sparse_csr, strided
from rushlight.nn.parameter import Parameter
from rushlight.serialization import load, save
from rushlight.tensor.memory import storage_of
from rushlight.tensor.pickling import storage_array, tensor_on_storage, tensor_window
from rushlight.tensor.tensor import Size, Tensor, tensor_from_numpy

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

NAMES = [dtype.name for dtype in dtypes.ALL_DTYPES]


def values(tensor: Tensor) -> np.ndarray:
    """The elements a tensor shows, bfloat16 as its bits."""
    storage, offset, size, stride = tensor_window(tensor)
    flat = storage_array(storage)
    steps = tuple(s * flat.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()


def torch_values(tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    if tensor.dtype == torch.complex32:
        return tensor.view(torch.int32).numpy().view(np.uint32)
    return tensor.numpy()


def sent_to_torch(obj, **options):
    buffer = io.BytesIO()
    save(obj, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True, **options)


def sent_from_torch(obj, *, older=False, **options):
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=not older)
    buffer.seek(0)
    return load(buffer, **options)


def random_array(name: str, shape, seed: int) -> np.ndarray:
    dtype = dtypes.dtype_by_name(name)
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, size=(*shape, dtype.itemsize), dtype=np.uint8)
    if name == "bool":
        return (raw[..., 0] & 1).astype(bool)
    return raw.view(dtype.numpy)[..., 0].copy()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (3, 4, 5)])
def test_every_dtype_and_shape_arrives_bit_for_bit(name, shape):
    dtype = dtypes.dtype_by_name(name)
    array = random_array(name, shape, 1)
    theirs = sent_to_torch(tensor_from_numpy(array.copy(), dtype))
    assert str(theirs.dtype) == repr(dtype)
    assert tuple(theirs.shape) == shape
    assert torch_values(theirs).tobytes() == array.tobytes()
    for older in (False, True):
        ours = sent_from_torch(theirs, older=older)
        assert ours.dtype is dtype
        assert ours.shape == shape
        assert values(ours).tobytes() == array.tobytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_views_keep_strides_and_shared_memory_both_ways(data):
    base = torch.arange(float(data.draw(st.integers(24, 60))))
    views = [base]
    for _ in range(data.draw(st.integers(1, 4))):
        source = data.draw(st.sampled_from(views))
        kind = data.draw(st.sampled_from(["window", "narrow", "transpose", "expand", "detach"]))
        if kind == "window":
            view = base.as_strided((2, 3), (data.draw(st.integers(0, 5)), 2), 3)
        elif kind == "narrow":
            view = source.narrow(0, 0, 1)
        elif kind == "transpose":
            view = source.unsqueeze(0).transpose(0, -1)
        elif kind == "expand":
            view = source[:1].expand(3, *source.shape[1:])
        else:
            view = source.detach()
        views.append(view)
    older = data.draw(st.booleans())
    ours = sent_from_torch(views, older=older)
    assert len({id(storage_of(tensor)) for tensor in ours}) == 1
    for tensor, view in zip(ours, views):
        assert tensor.stride() == view.stride()
        assert tensor.storage_offset() == view.storage_offset()
        assert np.array_equal(values(tensor), view.numpy())
    back = sent_to_torch(ours)
    assert len({tensor.untyped_storage().data_ptr() for tensor in back}) == 1
    for tensor, view in zip(back, views):
        assert tensor.stride() == view.stride()
        assert torch.equal(tensor, view)


def test_containers_and_plain_values_arrive():
    plain = {
        "n": None, "i": 2**80, "f": 1e-300, "s": "é", "b": b"\x00\xff", "ba": bytearray(b"ab"),
        "c": 1 + 2j, "l": [1, (2, 3)], "set": {1, "a"}, "counter": Counter("aab"), 7: True,
        (1, "x"): 1, "od": OrderedDict(z=1, a=2),
    }  # fmt: skip
    assert sent_to_torch(plain) == plain
    assert sent_from_torch(plain) == plain
    theirs = sent_to_torch({"size": Size((2, 3)), "dtype": dtypes.int16, "device": device("cpu")})
    assert theirs == {
        "size": torch.Size((2, 3)), "dtype": torch.int16, "device": torch.device("cpu"),
    }  # fmt: skip
    assert isinstance(theirs["size"], torch.Size)
    ours = sent_from_torch(theirs)
    assert ours == {"size": Size((2, 3)), "dtype": dtypes.int16, "device": device("cpu")}
    assert isinstance(ours["size"], Size)


def test_layouts_arrive():
    assert sent_to_torch({"layout": strided}) == {"layout": torch.strided}
    assert sent_from_torch({"layout": torch.strided}) == {"layout": strided}
    assert sent_from_torch({"layout": torch.sparse_csr}) == {"layout": sparse_csr}
    with pytest.raises(pickle.UnpicklingError, match="sparse_bsr"):
        sent_from_torch({"layout": torch.sparse_bsr})


def test_parameters_and_requires_grad_arrive():
    leaf = torch.ones(2, requires_grad=True)
    ours = sent_from_torch({"p": torch.nn.Parameter(torch.ones(3)), "leaf": leaf})
    assert type(ours["p"]) is Parameter
    assert ours["p"]._grad_fn is not None
    assert ours["leaf"]._grad_fn is not None
    theirs = sent_to_torch(ours)
    assert type(theirs["p"]) is torch.nn.Parameter
    assert theirs["p"].requires_grad
    assert theirs["leaf"].requires_grad
    frozen = sent_from_torch(torch.nn.Parameter(torch.ones(3), requires_grad=False))
    assert frozen._grad_fn is None


def test_tied_parameters_stay_tied():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    ours = sent_from_torch(OrderedDict(a=weight, b=weight, c=weight.detach()))
    assert ours["a"] is ours["b"]
    assert storage_of(ours["c"]) is storage_of(ours["a"])


def test_a_pytorch_state_dict_arrives_with_its_metadata():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = model.state_dict()
    for older in (False, True):
        ours = sent_from_torch(state, older=older)
        assert list(ours) == list(state)
        assert ours._metadata == state._metadata
        for name in state:
            assert np.array_equal(values(ours[name]), state[name].numpy())
    back = sent_to_torch(ours)
    assert back._metadata == state._metadata
    model.load_state_dict(back)


def test_an_optimizer_state_arrives():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    ours = sent_from_torch(optimizer.state_dict())
    assert ours["param_groups"] == optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(sent_to_torch(ours))


def test_a_tensor_with_attributes_arrives():
    tensor = torch.ones(2)
    tensor.note = "hello"
    ours = sent_from_torch(tensor)
    assert ours.note == "hello"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_can_be_asked_for(protocol):
    buffer = io.BytesIO()
    ours = {"x": tensor_from_numpy(np.ones(3, np.float32), dtypes.float32)}
    save(ours, buffer, pickle_protocol=protocol)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer)["x"], torch.ones(3))
    buffer = io.BytesIO()
    torch.save({"x": torch.ones(3)}, buffer, pickle_protocol=protocol)
    buffer.seek(0)
    assert np.array_equal(values(load(buffer)["x"]), np.ones(3, np.float32))


def test_files_by_path_and_mapped_into_memory(tmp_path):
    path = tmp_path / "ünïcode name.pt"
    array = np.arange(1000, dtype=np.float32)
    save([tensor_from_numpy(array, dtypes.float32)], path)
    assert torch.equal(torch.load(str(path), mmap=True)[0], torch.arange(1000.0))
    torch.save([torch.arange(1000.0)], path)
    before = path.read_bytes()
    (mapped,) = load(path, mmap=True)
    assert np.array_equal(values(mapped), array)
    storage_array(storage_of(mapped))[0] = 5
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="must be a file path"):
        load(io.BytesIO(before), mmap=True)


def test_the_other_byte_order_is_read():
    buffer = io.BytesIO()
    torch.save(torch.arange(3, dtype=torch.int32), buffer)
    data = buffer.getvalue()
    swapped = data.replace(b"\0\0\0\0\1\0\0\0\2\0\0\0", b"\0\0\0\0\0\0\0\1\0\0\0\2")
    swapped = _repack(swapped, {"byteorder": b"big"})
    assert values(load(io.BytesIO(swapped))).tolist() == [0, 1, 2]


def _repack(data: bytes, replaced: dict) -> bytes:
    import zipfile

    target = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(data))
    # The storage was edited in place, so its old checksum is not to be looked at.
    with zipfile.ZipFile(target, "w") as out:
        for info in source.infolist():
            name = info.filename.partition("/")[2]
            header = info.header_offset
            skip = int.from_bytes(data[header + 26 : header + 28], "little")
            skip += int.from_bytes(data[header + 28 : header + 30], "little")
            raw = data[header + 30 + skip :][: info.file_size]
            out.writestr(info.filename, replaced.get(name, raw))
    return target.getvalue()


@pytest.mark.parametrize(
    "map_location", ["cpu", device("cpu"), {"cuda:0": "cpu"}, lambda storage, tag: storage]
)
def test_storages_of_another_device_need_a_map_location(map_location):
    buffer = io.BytesIO()
    torch.save(torch.ones(2), buffer)
    data = buffer.getvalue()
    pickled = _repack(data, {})
    start = pickled.index(b"X\x03\x00\x00\x00cpu")
    assert start > 0
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = archive.namelist()[0]
        text = archive.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")
    data = _repack(data, {"data.pkl": text})
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        load(io.BytesIO(data))
    if callable(map_location):
        map_location = lambda storage, tag: "moved"
    assert values(load(io.BytesIO(data), map_location=map_location)).tolist() == [1, 1]


def test_dtypes_without_counterpart_are_named():
    with pytest.raises(pickle.UnpicklingError, match="bits8"):
        sent_from_torch(torch.ones(2, dtype=torch.uint8).view(torch.bits8))


def test_a_whole_module_needs_trust_and_says_so():
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.linear\.Linear"):
        load(buffer)


def test_a_view_is_saved_with_its_whole_storage():
    base = tensor_from_numpy(np.arange(5, dtype=np.int64), dtypes.int64)
    view = tensor_on_storage(storage_of(base), 3, (2,), (1,), False)
    theirs = sent_to_torch(view)
    assert theirs.tolist() == [3, 4]
    assert theirs.untyped_storage().nbytes() == 40


def test_equal_objects_give_equal_files():
    def saved() -> bytes:
        buffer = io.BytesIO()
        save({"x": tensor_from_numpy(np.ones(3, np.float32), dtypes.float32)}, buffer)
        return buffer.getvalue()

    assert saved() == saved()
