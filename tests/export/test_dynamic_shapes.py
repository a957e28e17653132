"""Programs exported with dynamic sizes compute what the module does for those sizes."""

from __future__ import annotations

import io
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn
from rushlight._dynamo.exc import UserError
from rushlight.export import Dim, ShapesCollection, dims, draft_export, export, load, save

torch = pytest.importorskip("torch")


class Language(nn.Module):
    """Positions, a causal mask and heads: sizes, products and halves of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(64, 8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 11)

    def forward(self, ids: rl.Tensor) -> rl.Tensor:
        batch, length = ids.shape
        x = self.tokens(ids) + self.places(rl.arange(length))
        q, k, v = (
            part.view(batch, length, 2, 4).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        )
        mask = rl.tril(rl.ones(length, length, dtype=rl.bool))
        scores = (q @ k.transpose(-2, -1)).masked_fill(~mask, float("-inf")).softmax(-1)
        x = (scores @ v).transpose(1, 2).reshape(batch * length, 8)
        return self.out(x).view(batch, length, -1)[:, : length // 2 + 1]


class Picture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: rl.Tensor) -> rl.Tensor:
        y = self.conv(x).relu()
        b, c, h, w = y.shape
        return y.view(b, c, h * w).permute(0, 2, 1)


class Sum(nn.Module):
    def forward(self, a: rl.Tensor, b: rl.Tensor) -> rl.Tensor:
        return a + b


def agree(program: Any, module: nn.Module, *inputs: rl.Tensor) -> None:
    found, expected = program.module()(*inputs), module(*inputs)
    assert found.shape == expected.shape and rl.allclose(found, expected, atol=1e-6)


def test_a_language_model_takes_other_batches_and_lengths_and_so_does_its_file() -> None:
    model = Language()
    batch, length = Dim("batch"), Dim("length", max=64)
    ids = rl.randint(0, 11, (2, 5))
    program = export(model, (ids,), dynamic_shapes={"ids": {0: batch, 1: length}})
    file = io.BytesIO()
    save(program, file)
    file.seek(0)
    for again in (program, load(file)):
        for shape in ((2, 5), (1, 9), (7, 4), (3, 64)):
            agree(again, model, rl.randint(0, 11, shape))
        with pytest.raises(RuntimeError, match=r"Guard failed.* length is in VR\[0, 64\]"):
            again.module()(rl.randint(0, 11, (2, 65)))
    assert [str(r) for r in program.range_constraints.values()] == ["VR[0, int_oo]", "VR[0, 64]"]


def test_sizes_behind_a_convolution_follow_in_steps() -> None:
    model = Picture()
    height, width = dims("h", "w", min=4)
    program = export(model, (rl.randn(1, 3, 9, 12),), dynamic_shapes=({2: height, 3: width},))
    for size in ((9, 12), (10, 11), (32, 7)):
        agree(program, model, rl.randn(1, 3, *size))


def test_one_name_is_one_size_and_sizes_may_follow_from_others() -> None:
    size = Dim("n")
    program = export(Sum(), (rl.ones(3, 2), rl.ones(3, 2)), dynamic_shapes=({0: size}, {0: size}))
    agree(program, Sum(), rl.ones(5, 2), rl.ones(5, 2))
    with pytest.raises(RuntimeError, match=r"Guard failed: b\.size"):
        program.module()(rl.ones(5, 2), rl.ones(4, 2))

    class Halves(nn.Module):
        def forward(self, a: rl.Tensor, b: rl.Tensor) -> rl.Tensor:
            return a.view(2, -1, 2) + b

    program = export(Halves(), (rl.ones(6, 2), rl.ones(3, 2)),
                     dynamic_shapes=({0: 2 * size}, {0: size}))  # fmt: skip
    agree(program, Halves(), rl.ones(10, 2), rl.ones(5, 2))
    with pytest.raises(RuntimeError, match="Guard failed"):
        program.module()(rl.ones(9, 2), rl.ones(4, 2))


def test_what_may_change_if_it_can_is_static_where_it_cannot() -> None:
    layer = nn.Linear(3, 4)
    said = {"input": (Dim.AUTO, Dim.AUTO)}
    program = export(layer, (rl.ones(2, 3),), dynamic_shapes=said)
    agree(program, layer, rl.ones(7, 3))
    with pytest.raises(RuntimeError, match="Guard failed"):
        program.module()(rl.ones(2, 4))
    for wrong in ({1: Dim("features")}, (None, Dim.DYNAMIC)):
        with pytest.raises(UserError, match="Constraints violated"):
            export(layer, (rl.ones(2, 3),), dynamic_shapes={"input": wrong})
        drafted = draft_export(layer, (rl.ones(2, 3),), dynamic_shapes={"input": wrong})
        agree(drafted, layer, rl.ones(2, 3))


def test_a_branch_on_a_size_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: rl.Tensor) -> rl.Tensor:
            return x.relu() if x.shape[0] % 2 else x.sin()

    with pytest.raises(UserError, match="calls other functions"):
        export(Branching(), (rl.ones(3),), dynamic_shapes=({0: Dim("n")},))


def test_sizes_can_be_described_by_tensor() -> None:
    x, y = rl.ones(3, 2), rl.ones(3, 2)
    shapes = ShapesCollection()
    shapes[x] = {0: Dim("n")}
    shapes[y] = {0: Dim("n")}
    program = export(Sum(), (x, y), dynamic_shapes=shapes)
    agree(program, Sum(), rl.ones(8, 2), rl.ones(8, 2))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"a": None}, "top-level keys"),
        (({0: Dim("n")},), "1 entries for the 2 inputs"),
        (({5: Dim("n")}, None), "has no axis 5"),
        (({0: 4}, None), "does not match input size"),
        (({0: "n"}, None), "is a Dim, an int or None"),
        (((None,), None), "has 2 axes, and 1 are described"),
        (({0: Dim("n", min=5)}, {0: Dim("n", min=5)}), "not in VR"),
    ],
)
def test_a_description_that_does_not_fit_says_so(said: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export(Sum(), (rl.ones(3, 2), rl.ones(3, 2)), dynamic_shapes=said)


def test_dims_are_written_as_pytorchs() -> None:
    for lib in (rl, torch):
        d = lib.export.Dim
        found = [d("b"), d("b", min=2, max=9), d("b") * 2, d("b") + 1, 3 * d("b") - 1, d.AUTO,
                 d.DYNAMIC(min=2, max=5), d("b").__name__]  # fmt: skip
        shown = [str(x) for x in found]
        if lib is rl:
            mine = shown
    # PyTorch shows a lower bound of 0, and not one of 2, which it assumes otherwise.
    assert mine[:2] == ["Dim('b')", "Dim('b', min=2, max=9)"] and mine[2:] == shown[2:]
    for lib in (rl, torch):
        with pytest.raises(AssertionError):
            lib.export.Dim("b", min=5, max=3)
        with pytest.raises(AssertionError):
            lib.export.Dim("1b")
