"""Event files say what was written; without the library the message says what to install."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.utils.tensorboard import SummaryWriter, encoding, summaries


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(summaries.importlib, "import_module", refuse)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        SummaryWriter(tmp_path)


def test_pictures_are_png_files():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    encoded = encoding.png(pixels)
    images = pytest.importorskip("PIL.Image")
    import io

    np.testing.assert_array_equal(np.asarray(images.open(io.BytesIO(encoded))), pixels)


def test_a_grid_of_pictures_has_all_of_them():
    images = np.random.default_rng(0).random((3, 3, 4, 5)).astype(np.float32)
    grid = encoding.channels_last(images, "NCHW")
    np.testing.assert_array_equal(grid[:, 5:10], images[1].transpose(1, 2, 0))
    with pytest.raises(AssertionError, match="input_format"):
        encoding.channels_last(images, "CHW")


def test_every_kind_of_record_can_be_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    x = rushlight.arange(12.0).reshape(3, 4) / 12
    model = rushlight.nn.Sequential(rushlight.nn.Linear(4, 2), rushlight.nn.ReLU())
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", rushlight.tensor(0.5), 3)
        writer.add_scalar("new", 0.25, 1, new_style=True)
        writer.add_scalars("both", {"a": 1, "b": 2}, 1)
        writer.add_histogram("weights", x, 1)
        writer.add_histogram_raw("raw", 0, 1, 2, 1, 1, [0.5, 1], [1, 1])
        writer.add_image("image", rushlight.zeros(3, 4, 4))
        writer.add_images("images", rushlight.zeros(2, 1, 4, 4))
        writer.add_audio("sound", rushlight.zeros(10))
        writer.add_text("text", "words")
        writer.add_tensor("all", x)
        writer.add_pr_curve("curve", rushlight.tensor([0, 1, 1]), rushlight.tensor([0.1, 0.7, 0.4]))
        writer.add_custom_scalars_multilinechart(["a", "b"])
        writer.add_custom_scalars_marginchart(["a", "b", "c"])
        writer.add_mesh("mesh", rushlight.zeros(1, 3, 3))
        writer.add_embedding(x, metadata=["p", "q", "r"])
        writer.add_graph(model, x)
        writer.add_hparams({"lr": 0.1, "name": "a", "flag": True}, {"m": 1.0}, run_name="h")
    (path,) = tmp_path.glob("events*")
    events = list(EventFileLoader(str(path)).Load())
    tags = {value.tag for event in events for value in event.summary.value}
    assert {"loss", "new", "weights", "raw", "image", "images", "sound", "all", "curve"} <= tags
    assert "text/text_summary" in tags and any(event.graph_def for event in events)
    steps = [e.step for e in events for v in e.summary.value if v.tag == "loss"]
    assert steps == [3]
    assert (tmp_path / "projector_config.pbtxt").exists() and list(tmp_path.glob("h/events*"))
    assert list(tmp_path.glob("both_a/events*"))
