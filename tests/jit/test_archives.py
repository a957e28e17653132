"""TorchScript's archives: PyTorch's run here, ours run there, and hostile ones do no harm."""

from __future__ import annotations

import copy
import io
import pickle
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import rushlight
from rushlight.serialization.zip_records import RecordWriter

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning"
)


def _plain(value: Any) -> Any:
    """Tensors as arrays, in their structure."""
    if hasattr(value, "detach"):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _same(ours: Any, theirs: Any) -> None:
    ours, theirs = _plain(ours), _plain(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs):
            _same(x, y)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)
    else:
        assert ours == theirs and type(ours) is type(theirs)


def _sent(module: Any) -> Any:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return rushlight.jit.load(buffer)


class Pair(NamedTuple):
    first: torch.Tensor
    second: int


@torch.jit.script
class Counter:
    def __init__(self, start: int):
        self.count = start

    def add(self, n: int) -> int:
        self.count += n
        return self.count


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = torch.nn.Linear(4, 4)
        self.register_buffer("shift", torch.full((4,), 0.25))
        self.names = ["a", "bc"]
        self.table = {"x": 2.5}
        self.scale = 0.5

    def forward(self, x: torch.Tensor, n: int | None = None) -> torch.Tensor:
        if n is not None:
            for i in range(n):
                x = x + self.lin(x) * self.scale + i
        elif x.sum() > 0:
            x = torch.cat([x, x], 1)[:, 1:5]
        else:
            while bool(x.mean() < 0):
                x = x + self.shift
        return x * self.table["x"] + len(self.names[1])


class Control(torch.nn.Module):
    """Branches, loops, containers, text, errors, classes and exported methods."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.ReLU()])

    def forward(self, x: torch.Tensor, d: dict[str, torch.Tensor]):
        counter = Counter(2)
        x = self.inner(x, counter.add(1))
        for layer in self.layers:
            x = layer(x)
        parts: list[torch.Tensor] = []
        for key, value in d.items():
            if key != "skip":
                parts.append(value * 2)
        parts.append(x)
        a, b = x.shape
        text = f"{a}x{b} {1.5} {True} {[1, 2]}"
        if a > 1000:
            raise ValueError(text)
        pair = Pair(x[0, 1:3], a // 2)
        joined = torch.cat([t.flatten() for t in parts])
        mask = joined > 1
        joined[mask] = 0.5
        return {"out": joined}, pair.second, text, pair.first, -7 % 3, 7 / 2, [a, b]

    @torch.jit.export
    def again(self, x: torch.Tensor, y: tuple[int, float] = (1, 2.0)) -> torch.Tensor:
        return self.inner(x) + y[0] * y[1]


@pytest.fixture(scope="module")
def control() -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = torch.jit.script(Control().eval())
    return theirs, _sent(theirs)


def test_a_scripted_module_runs(control: tuple) -> None:
    theirs, ours = control
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)

    def run(lib: ModuleType, module: Any) -> Any:
        return module(lib.tensor(x), {"p": lib.ones(2), "skip": lib.ones(1)})

    _same(run(rushlight, ours), run(torch, theirs))
    for value in (1.0, -1.0):
        args = [lib.full((2, 4), value) for lib in (rushlight, torch)]
        _same(ours.again(args[0]), theirs.again(args[1]))
    with pytest.raises(ValueError, match=r"2000x4 1\.5 True"):
        ours(rushlight.ones(2000, 4), {})


def test_a_loaded_module_is_a_module(control: tuple) -> None:
    theirs, ours = control
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert not ours.training and ours.train().inner.training and not ours.eval().inner.training
    assert ours.original_name == "Control" and "def forward" in ours.code
    assert ours.inner.scale == 0.5 and ours.inner.names == ["a", "bc"]
    twin = copy.deepcopy(ours)
    twin.inner.lin.weight.data.zero_()
    assert ours.inner.lin.weight.abs().sum() > 0
    ours.inner(rushlight.ones(1, 4), 1).sum().backward()
    assert ours.inner.lin.weight.grad is not None
    ours.zero_grad()


def test_a_loaded_module_is_saved_as_it_is_now(control: tuple) -> None:
    _, ours = control
    changed = copy.deepcopy(ours)
    changed.inner.lin.bias.data += 1
    buffer = io.BytesIO()
    changed.save(buffer)
    buffer.seek(0)
    back = torch.jit.load(buffer)
    x = np.ones((2, 4), dtype=np.float32)
    _same(changed.again(rushlight.tensor(x)), back.again(torch.tensor(x)))
    _same(changed(rushlight.tensor(x), {}), back(torch.tensor(x), {}))


def _networks(lib: Any) -> dict[str, tuple[Any, tuple]]:
    nn, F = lib.nn, lib.nn.functional
    lib.manual_seed(1)

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 8, 3, padding=1, groups=2)
            self.norm = nn.GroupNorm(2, 8)
            self.rnn = nn.GRU(8, 6, 2, batch_first=True, bidirectional=True)
            self.table = nn.Embedding(5, 12)

        def forward(self, x):
            x = F.gelu(self.norm(self.conv(x))).transpose(1, 2)
            x, h = self.rnn(x)
            x = x + self.table(lib.tensor([1, 3, 0])).mean(0)
            y = x[:, 1:, None].squeeze(2)
            y = y.reshape(y.size(0), -1).clamp(-1, 1)
            y += 0.5
            y = 1 - (2 / (y + 3)) + 2.0**y
            a, b = y.chunk(2, dim=-1)
            return {"y": F.softplus(a) * b.sigmoid(), "h": h.permute(1, 0, 2).reshape(2, -1)}

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            y = self.layer(x)
            values, places = y.max(-1)
            return values, places.float(), F.scaled_dot_product_attention(y, y, y)

    class Recurs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(4, 5)
            self.cell = nn.LSTMCell(5, 3)

        def forward(self, x):
            y, (h, c) = self.rnn(x)
            return self.cell(y[-1])[0], lib.stack([h[0], c[0]], 1), lib.einsum("tbf->bf", y)

    image = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.SiLU(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(6, 4, 2, stride=2), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.LayerNorm(16), nn.Linear(16, 3), nn.LogSoftmax(-1),
    )  # fmt: skip
    return {
        "image": (image, ((2, 3, 12, 12),)),
        "mixed": (Mixed(), ((2, 4, 5),)),
        "attends": (Attends(), ((2, 5, 8),)),
        "recurs": (Recurs(), ((6, 2, 4),)),
    }


def _inputs(lib: Any, shapes: tuple) -> list:
    generator = np.random.default_rng(3)
    return [lib.tensor(generator.normal(size=shape).astype(np.float32)) for shape in shapes]


# Modules that read a name of a function around them cannot be scripted.
@pytest.mark.parametrize(
    ("name", "kind"),
    [("image", "script"), *[(n, "trace") for n in ("image", "mixed", "attends", "recurs")]],
)
def test_networks_of_pytorch_run_here(name: str, kind: str) -> None:
    module, shapes = _networks(torch)[name]
    module.eval()
    x = _inputs(torch, shapes)
    if kind == "trace":
        made = torch.jit.trace(module, x, check_trace=False, strict=False)
    else:
        made = torch.jit.script(module)
    _same(_sent(made)(*_inputs(rushlight, shapes)), made(*x))


@pytest.mark.parametrize("name", ["image", "mixed", "attends", "recurs"])
def test_traced_networks_run_in_pytorch(name: str, tmp_path: Path) -> None:
    module, shapes = _networks(rushlight)[name]
    module.eval()
    x = _inputs(rushlight, shapes)
    path = tmp_path / "net.pt"
    rushlight.jit.trace(module, x).save(path)
    expected = module(*x)
    _same(rushlight.jit.load(path)(*x), expected)
    theirs = torch.jit.load(path)
    _same(expected, theirs(*_inputs(torch, shapes)))
    assert set(module.state_dict()) <= set(theirs.state_dict())


def test_functions_and_extra_files(tmp_path: Path) -> None:
    traced = rushlight.jit.trace(lambda x, y: (x * y).sum(0) + 1, (rushlight.ones(2, 3),) * 2)
    path = str(tmp_path / "f.pt")
    rushlight.jit.save(traced, path, _extra_files={"notes.txt": "made here"})
    found = {"notes.txt": "", "other": ""}
    theirs = torch.jit.load(path, _extra_files=found)
    assert found["notes.txt"] == b"made here"
    ours_found = {"notes.txt": ""}
    ours = rushlight.jit.load(path, _extra_files=ours_found)
    assert ours_found["notes.txt"] == b"made here"
    _same(
        ours(rushlight.ones(2, 3), rushlight.ones(2, 3)), theirs(torch.ones(2, 3), torch.ones(2, 3))
    )


def test_what_cannot_be_saved_says_so(tmp_path: Path) -> None:
    linear = rushlight.nn.Linear(2, 2)
    with pytest.raises(AttributeError, match="cannot be saved"):
        rushlight.jit.save(linear, tmp_path / "x")
    traced = rushlight.jit.trace(lambda x: rushlight.fft.fft(x).abs(), (rushlight.eye(2),))
    with pytest.raises(RuntimeError, match="fft has no form"):
        traced.save(tmp_path / "x")
    with pytest.raises(ValueError, match="does not exist"):
        rushlight.jit.load(tmp_path / "none.pt")
    rushlight.save({"a": 1}, tmp_path / "plain.pt")
    with pytest.raises(RuntimeError, match=r"read by torch\.load"):
        rushlight.jit.load(tmp_path / "plain.pt")


# ---- hostile files -------------------------------------------------------------------------------


def _archive(code: str, data: bytes | None = None) -> io.BytesIO:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer, "x")
    state = b"\x80\x02c__torch__\nM\n)\x81}(X\x08\x00\x00\x00training\x89ub."
    writer.write("data.pkl", state if data is None else data)
    writer.write("code/__torch__.py", code.encode())
    writer.write("constants.pkl", b"\x80\x02).")
    writer.write("version", b"3\n")
    writer.finish()
    buffer.seek(0)
    return buffer


def _module_with(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"class M(Module):\n  training : bool\n  def forward(self, x):\n{lines}"


HOSTILE = [
    "return __import__('os')", "return open('/etc/passwd')", "return x.__class__",
    "return (x).numpy()", "import os\nreturn x", "return torch.load('x')", "return torch.save(x)",
    "return torch.from_file('/etc/passwd', False, 3)", "return eval('1')", "return self.__dict__",
    "return (self).__reduce__()", "return getattr(self, '_modules')", "return [y for y in x if y]",
    "return (lambda: 1)()", "return f'{x.__class__}'", "return ops.evil.run(x)",
    "exec('1')\nreturn x", "return torch._C", "return __torch__.os.system('x')", "return k1",
    "global v_x\nreturn x", "def inner(): pass\nreturn x", "return x if x else (yield)",
    "return __builtins__", "self.forward = x\nreturn (self).script_class", "return torch.Tensor",
    "return (x).__reduce_ex__(2)", "del x", "return CONSTANTS.c99", "return x @ x",
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE)
def test_code_can_do_nothing_but_compute(body: str) -> None:
    module = rushlight.jit.load(_archive(_module_with(body)))
    with pytest.raises((RuntimeError, NameError, AttributeError)):
        module(rushlight.ones(2))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00echotR.",
        b"\x80\x02c__torch__\nM\n(X\x01\x00\x00\x00atR.",
        b"\x80\x02c__torch__.os\nsystem\n)\x81.",
        b"\x80\x02c__torch__\nM\n)\x81K\x01b.",
        b"\x80\x02c__torch__\nMissing\n)\x81.",
        b"\x80\x02c__torch__.a.b\nM\n)\x81}b.",
        b"\x80\x02",
    ],
)
def test_pickles_make_nothing_else(data: bytes) -> None:
    with pytest.raises((pickle.UnpicklingError, RuntimeError, EOFError)):
        rushlight.jit.load(_archive(_module_with("return x"), data))


@pytest.mark.parametrize(
    "code", ["class M(", "(" * 5000, "class M(Module):\n  x : Final[int] = open('/etc/passwd')\n"]
)
def test_damaged_code_is_reported(code: str) -> None:
    with pytest.raises((RuntimeError, NameError)):
        rushlight.jit.load(_archive(code))


def test_compressed_records_that_claim_too_much_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02N.")
        archive.writestr("x/constants.pkl", b"\x80\x02).")
        archive.writestr("x/code/__torch__.py", b" " * ((1 << 26) + 1))
    buffer.seek(0)
    with pytest.raises(RuntimeError, match="claims"):
        rushlight.jit.load(buffer)
