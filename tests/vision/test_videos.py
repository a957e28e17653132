"""Clips of videos and pictures in databases: what is counted, cut and read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
import rushlight.vision.datasets as ours
from rushlight.vision.datasets import optional, video
from rushlight.vision.datasets.video import VideoClips

FRAMES, RATE = 10, 5


def film(path: Path, level: int, frames: int = FRAMES) -> None:
    """Gray frames, each 10 levels brighter than the one before."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for i in range(frames):
            pixels = np.full((16, 32, 3), level + 10 * i, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


def film_with_sound(path: Path, level: int = 0) -> None:
    """Frames as of `film`, and a sound in steps: 200 samples of 1000 i with frame i."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        picture = file.add_stream("mpeg4", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = 32, 16, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=1000, layout="mono")
        for i in range(FRAMES):
            pixels = np.full((16, 32, 3), level + 10 * i, np.uint8)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            samples = np.full((1, 200), 1000 * i, np.int16)
            note = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            note.rate = 1000
            file.mux(sound.encode(note))
        file.mux(picture.encode())
        file.mux(sound.encode())


def levels(frames: Any) -> list[int]:
    return [round(float(frame.float().mean())) for frame in frames]


def near(found: list[int], wanted: list[int]) -> bool:
    return len(found) == len(wanted) and all(abs(a - b) <= 4 for a, b in zip(found, wanted))


def counted(*counts: int, rate: float = RATE, **options: Any) -> VideoClips:
    """Clips of files that are not opened."""
    names = [f"{i}.avi" for i in range(len(counts))]
    facts = {
        "video_paths": names,
        "video_pts": [rl.arange(count) for count in counts],
        "video_fps": [rate] * len(counts),
    }
    return VideoClips(names, _precomputed_metadata=facts, **options)


def test_clips_follow_one_another() -> None:
    clips = counted(10, 7, clip_length_in_frames=4, frames_between_clips=3)
    assert clips.num_videos() == 2
    assert [len(of) for of in clips.clips] == [3, 2]
    assert clips.clips[0].tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert [clips.get_clip_location(i) for i in range(5)] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1),
    ]  # fmt: skip
    assert clips.subset([1]).num_clips() == 2
    with pytest.raises(IndexError, match="5 number of clips"):
        clips.get_clip(5)


def test_another_rate_takes_every_second_frame() -> None:
    clips = counted(10, clip_length_in_frames=3, frame_rate=RATE / 2)
    assert clips.clips[0].tolist() == [[0, 2, 4], [2, 4, 6], [4, 6, 8]]


def test_a_video_that_is_too_short_is_skipped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="too few frames"):
        assert counted(3, 8, clip_length_in_frames=8).num_clips() == 1


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="'THWC' or 'TCHW', got CTHW"):
        counted(3, output_format="CTHW")


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional, "av", None)
    monkeypatch.setattr(optional, "lmdb", None)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.avi").write_bytes(b"")
    with pytest.raises(ImportError, match="reading videos needs the package av"):
        ours.UCF101(tmp_path, tmp_path, 2, num_workers=0)
    with pytest.raises(ImportError, match="pip install lmdb"):
        ours.LSUNClass(tmp_path)


def test_kinetics_gives_frames_sound_and_class(tmp_path: Path) -> None:
    film(tmp_path / "val" / "run" / "a.mp4", 20)
    film(tmp_path / "val" / "sit" / "b.mp4", 100)
    data = ours.Kinetics(tmp_path, 4, split="val", step_between_clips=2, num_workers=0)
    assert data.classes == ["run", "sit"]
    assert len(data) == 8
    frames, sound, label = data[5]
    assert frames.shape == (4, 3, 16, 32)
    assert frames.dtype is rl.uint8
    assert near(levels(frames), [120, 130, 140, 150])
    assert sound.shape == (1, 0)
    assert label == 1
    again = ours.Kinetics(
        tmp_path, 4, split="val", transform=lambda x: x.shape, _precomputed_metadata=data.metadata
    )
    assert again[0][0] == (4, 3, 16, 32)
    wrapped = ours.wrap_dataset_for_transforms_v2(data)
    assert type(wrapped[0][0]).__name__ == "Video"


def test_a_fold_takes_the_videos_that_its_list_names(tmp_path: Path) -> None:
    for i, name in enumerate(("run/a.avi", "run/b.avi", "sit/c.avi")):
        film(tmp_path / "films" / name, 30 * i)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "trainlist01.txt").write_text("run/a.avi 1\n")
    (notes / "testlist01.txt").write_text("run/b.avi\nsit/c.avi\n")
    ucf = ours.UCF101(tmp_path / "films", notes, 10, train=False, num_workers=0)
    assert [ucf[i][2] for i in range(len(ucf))] == [0, 1]
    assert near(levels(ucf[1][0])[:2], [60, 70])
    (notes / "run_test_split1.txt").write_text("a.avi 1\nb.avi 2\n")
    (notes / "sit_test_split1.txt").write_text("c.avi 0\n")
    motions = ours.HMDB51(tmp_path / "films", notes, 10, num_workers=0)
    assert len(motions) == 1
    assert near(levels(motions[0][0])[:2], [0, 10])
    with pytest.raises(RuntimeError, match="TCHW"):
        ours.wrap_dataset_for_transforms_v2(motions)
    with pytest.raises(ValueError, match="fold"):
        ours.HMDB51(tmp_path / "films", notes, 10, fold=4)


def test_sound_is_that_of_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    film_with_sound(path)
    _, heard, rate = video.read_frames(path, 3, 4)
    assert rate == RATE
    assert heard.shape == (1, 400)
    assert np.allclose(heard[0, [0, 199, 200, 399]] * 32768, [3000, 3000, 4000, 4000])


def _film_folder(root: Path) -> None:
    for i, name in enumerate(("run/a.avi", "run/b.avi", "sit/c.avi")):
        film(root / "films" / name, 30 * i)
        film_with_sound(root / "val" / name, 30 * i)
    notes = root / "notes"
    notes.mkdir()
    (notes / "trainlist01.txt").write_text("run/a.avi 1\n")
    (notes / "testlist01.txt").write_text("run/b.avi\nsit/c.avi\n")
    (notes / "run_test_split1.txt").write_text("a.avi 1\nb.avi 2\n")
    (notes / "sit_test_split1.txt").write_text("c.avi 1\n")


CLIPS = {
    "Kinetics": lambda d, r: d.Kinetics(r, 4, split="val", step_between_clips=2, num_workers=0),
    "Kinetics at another rate": lambda d, r: d.Kinetics(
        r, 3, frame_rate=3, split="val", num_workers=0
    ),
    "UCF101": lambda d, r: d.UCF101(r / "films", r / "notes", 4, 3, train=False, num_workers=0),
    "HMDB51": lambda d, r: d.HMDB51(r / "films", r / "notes", 4, 3, num_workers=0),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    """It decodes by TorchCodec, so that a level of gray may differ by what two decoders round."""
    pytest.importorskip("torchcodec")
    theirs = pytest.importorskip("torchvision.datasets")
    _film_folder(tmp_path)
    mine, other = (CLIPS[name](library, tmp_path) for library in (ours, theirs))
    assert len(mine) == len(other) > 2 and mine.classes == other.classes
    for i in range(len(other)):
        (frames, sound, label), (frames2, sound2, label2) = mine[i], other[i]
        assert label == label2 and frames.shape == frames2.shape
        assert np.abs(frames.numpy().astype(int) - frames2.numpy().astype(int)).max() <= 2
        assert sound.shape == sound2.shape
        assert np.allclose(sound.numpy(), sound2.numpy(), atol=1e-4)


def test_lsun_reads_a_database_for_each_category(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    image = pytest.importorskip("PIL.Image")
    for number, name in enumerate(("tower_val", "bridge_val")):
        with lmdb.open(str(tmp_path / f"{name}_lmdb")) as base, base.begin(write=True) as write:
            for i in range(2 + number):
                data = io.BytesIO()
                image.new("RGB", (4, 3), (number, i, 0)).save(data, "PNG")
                write.put(f"key{i}".encode(), data.getvalue())
    data = ours.LSUN(str(tmp_path), ["tower_val", "bridge_val"])
    assert len(data) == 5
    assert [data[i][1] for i in range(5)] == [0, 0, 1, 1, 1]
    assert data[4][0].getpixel((0, 0)) == (1, 2, 0)
    assert "Classes: ['tower_val', 'bridge_val']" in repr(data)


@pytest.mark.parametrize(
    "classes", ["valid", 3, ["tower_valid"], ["castle_val"], [3]], ids=str
)  # fmt: skip
def test_lsun_refuses_classes_that_are_none(classes: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown value|Expected type"):
        ours.LSUN(tmp_path, classes)
