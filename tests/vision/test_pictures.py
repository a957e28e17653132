"""Grids, drawings and image files equal torchvision's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rushlight
import rushlight.vision.io as our_io
import rushlight.vision.utils as ours
from tests.vision.compare import as_array, difference, photo

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchvision.utils")
their_io = pytest.importorskip("torchvision.io")

FLOATS = np.random.default_rng(0).normal(size=(7, 3, 9, 11)).astype("float32")
BYTES = np.ascontiguousarray(photo().transpose(2, 0, 1))
BOXES = np.array([[2, 3, 20, 17], [10, 4, 38, 30]], dtype="float32")
POINTS = np.array([[[5, 6], [20, 9], [30, 25]]], dtype="float32")
CASES = {
    "grid": lambda u, x: u.make_grid(x(FLOATS), nrow=3),
    "grid normalized": lambda u, x: u.make_grid(
        x(FLOATS), normalize=True, scale_each=True, pad_value=0.5
    ),
    "grid in range": lambda u, x: u.make_grid(
        x(FLOATS), normalize=True, value_range=(-1.0, 1.0), padding=1
    ),
    "grid of gray": lambda u, x: u.make_grid([x(FLOATS[0, :1]), x(FLOATS[1, :1])]),
    "boxes": lambda u, x: u.draw_bounding_boxes(
        x(BYTES), x(BOXES), colors=["red", "#00ff00"], width=2
    ),
    "boxes filled": lambda u, x: u.draw_bounding_boxes(x(BYTES), x(BOXES), fill=True),
    "boxes named": lambda u, x: u.draw_bounding_boxes(
        x(BYTES), x(BOXES), ["cat", "dog"], colors="blue"
    ),
    "masks": lambda u, x: u.draw_segmentation_masks(x(BYTES), x(BYTES > 120), alpha=0.6),
    "masks on floats": lambda u, x: u.draw_segmentation_masks(
        x(BYTES.astype("float32") / 255), x(BYTES > 120), colors=["red", "blue", (1, 2, 3)]
    ),
    "points": lambda u, x: u.draw_keypoints(x(BYTES), x(POINTS), [(0, 1), (1, 2)], colors="blue"),
    "flow": lambda u, x: u.flow_to_image(x(FLOATS[:, :2])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_picture_equals_torchvision(name: str) -> None:
    expected = as_array(CASES[name](theirs, lambda a: torch.from_numpy(a)))
    found = as_array(CASES[name](ours, lambda a: rushlight.from_numpy(a)))
    assert difference(found, expected) <= (1e-6 if expected.dtype.kind == "f" else 1)


def test_image_files_are_read_and_written_alike(tmp_path: Path) -> None:
    ours.save_image(rushlight.from_numpy(FLOATS), tmp_path / "ours.png")
    theirs.save_image(torch.from_numpy(FLOATS), tmp_path / "theirs.png")
    assert (
        difference(
            as_array(our_io.read_image(tmp_path / "ours.png")),
            as_array(their_io.read_image(str(tmp_path / "theirs.png"))),
        )
        <= 1
    )
    our_io.write_png(rushlight.from_numpy(BYTES), tmp_path / "a.png")
    assert np.array_equal(their_io.read_image(str(tmp_path / "a.png")).numpy(), BYTES)
    their_io.write_jpeg(torch.from_numpy(BYTES), str(tmp_path / "a.jpg"))
    for mode in ("UNCHANGED", "GRAY", "RGB"):
        found = our_io.read_image(tmp_path / "a.jpg", our_io.ImageReadMode[mode])
        expected = their_io.read_image(str(tmp_path / "a.jpg"), their_io.ImageReadMode[mode])
        # Two decoders of JPEG may round otherwise.
        assert difference(as_array(found), as_array(expected)) <= 3
    with pytest.raises(RuntimeError, match="no image"):
        our_io.decode_image(rushlight.arange(20, dtype=rushlight.uint8))
