"""Clips of videos: Kinetics, HMDB51, UCF101, and the list of clips under them.

In: folders of video files, a folder for each class.  Out: (frames, sound, number of the class):
frames are bytes (T, H, W, C) or (T, C, H, W), sound is float32 (channels, samples).  Decoding needs
PyAV, which is optional; it goes through a file from its start, since only that finds a frame by its
number in every kind of file.  Level 14.
"""

from __future__ import annotations

import bisect
import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.utils.data import DataLoader, Dataset
from rushlight.vision.datasets.folder import find_classes, make_dataset
from rushlight.vision.datasets.optional import av, require
from rushlight.vision.datasets.transfer import download_and_extract_archive, download_url
from rushlight.vision.datasets.vision import VisionDataset, chosen

FORMATS = ("THWC", "TCHW")


def frame_count(path: Any) -> tuple[int, float]:
    """(frames of a video file, frames a second).  Raises: ImportError without PyAV."""
    require("av", "reading videos")
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        count = sum(packet.pts is not None for packet in file.demux(stream))
        return count, float(stream.average_rate)


def read_frames(path: Any, first: int, last: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(frames (T, H, W, C) from `first` to `last`, sound of that time, frames a second)."""
    require("av", "reading videos")
    with av.open(str(path)) as file:
        rate = float(file.streams.video[0].average_rate)
        frames = []
        for number, frame in enumerate(file.decode(video=0)):
            if number >= first:
                frames.append(frame.to_ndarray(format="rgb24"))
            if number >= last:
                break
    return np.stack(frames), _sound(path, first / rate, (last + 1) / rate), rate


def _sound(path: Any, start: float, stop: float) -> np.ndarray:
    """Samples (channels, count) of a span in seconds; (1, 0) for a file without sound."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return np.zeros((1, 0), np.float32)
        resampler = av.AudioResampler(format="fltp")
        rate = file.streams.audio[0].rate
        parts = [
            part.to_ndarray()
            for frame in (*file.decode(audio=0), None)
            for part in resampler.resample(frame)
        ]
    samples = np.concatenate(parts, 1) if parts else np.zeros((1, 0), np.float32)
    return samples[:, round(start * rate) : round(stop * rate)]


class _FrameCounts(Dataset):
    """The frame counts of files, as a dataset so that workers share the files."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[int, float]:
        return frame_count(self.paths[index])


def _first(batch: list[Any]) -> Any:
    return batch[0]


class VideoClips:
    """All stretches of `clip_length_in_frames` frames of videos, each `frames_between_clips` later.

    frame_rate: take the videos at this rate.  num_workers: processes that count frames.
    Raises: ValueError for another `output_format`, ImportError without PyAV.
    """

    def __init__(
        self, video_paths: list[str], clip_length_in_frames: int = 16,
        frames_between_clips: int = 1, frame_rate: float | None = None,
        _precomputed_metadata: dict[str, Any] | None = None, num_workers: int = 0,
        output_format: str = "THWC",
    ) -> None:  # fmt: skip
        self.output_format = output_format.upper()
        if self.output_format not in FORMATS:
            raise ValueError(
                f"output_format should be either 'THWC' or 'TCHW', got {output_format}."
            )
        self.num_workers = num_workers
        if _precomputed_metadata is None:
            counts = DataLoader(
                _FrameCounts(video_paths), 1, num_workers=num_workers, collate_fn=_first
            )
            found = list(counts) if video_paths else []
            _precomputed_metadata = {
                "video_paths": video_paths,
                "video_pts": [rl.arange(count) for count, _ in found],
                "video_fps": [rate for _, rate in found],
            }
        self.video_paths = _precomputed_metadata["video_paths"]
        self.video_pts = _precomputed_metadata["video_pts"]
        self.video_fps = _precomputed_metadata["video_fps"]
        self.compute_clips(clip_length_in_frames, frames_between_clips, frame_rate)

    @property
    def metadata(self) -> dict[str, Any]:
        """What need not be counted again: pass it as `_precomputed_metadata`."""
        names = ("video_paths", "video_pts", "video_fps")
        return {name: getattr(self, name) for name in names}

    def subset(self, indices: list[int]) -> VideoClips:
        """The clips of some of the videos."""
        chosen_ones = {name: [values[i] for i in indices] for name, values in self.metadata.items()}
        return type(self)(
            chosen_ones["video_paths"], self.num_frames, self.step, self.frame_rate, chosen_ones,
            self.num_workers, self.output_format,
        )  # fmt: skip

    def compute_clips(self, num_frames: int, step: int, frame_rate: float | None = None) -> None:
        """List the clips anew, of other lengths or distances."""
        self.num_frames, self.step, self.frame_rate = num_frames, step, frame_rate
        self.clips: list[np.ndarray] = []
        for frames, rate in zip(self.video_pts, self.video_fps):
            self.clips.append(_clips(len(frames), num_frames, step, rate, frame_rate))
        if any(len(clips) == 0 for clips in self.clips):
            warnings.warn(
                f"some videos have too few frames for a clip of {num_frames}; they are skipped",
                stacklevel=3,
            )
        self.cumulative_sizes = np.cumsum([len(clips) for clips in self.clips]).tolist()

    def num_videos(self) -> int:
        """How many videos there are."""
        return len(self.video_paths)

    def num_clips(self) -> int:
        """How many clips all videos have together."""
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0

    def __len__(self) -> int:
        return self.num_clips()

    def get_clip_location(self, idx: int) -> tuple[int, int]:
        """(number of the video, number of the clip in it)."""
        video = bisect.bisect_right(self.cumulative_sizes, idx)
        return video, idx - (self.cumulative_sizes[video - 1] if video else 0)

    def get_clip(self, idx: int) -> tuple[Tensor, Tensor, dict[str, Any], int]:
        """(frames, sound, {"video_fps": …}, number of the video).  Raises: IndexError."""
        if idx >= self.num_clips():
            raise IndexError(f"Index {idx} out of range ({self.num_clips()} number of clips)")
        video, clip = self.get_clip_location(idx)
        wanted = self.clips[video][clip]
        frames, sound, rate = read_frames(self.video_paths[video], int(wanted[0]), int(wanted[-1]))
        frames = frames[wanted - wanted[0]]
        if self.output_format == "TCHW":
            frames = frames.transpose(0, 3, 1, 2)
        info = {"video_fps": rate if self.frame_rate is None else self.frame_rate}
        pixels = rl.from_numpy(np.ascontiguousarray(frames))
        return pixels, rl.from_numpy(np.ascontiguousarray(sound)), info, video


def _clips(
    frames: int, length: int, step: int, rate: float, wanted_rate: float | None
) -> np.ndarray:
    """The numbers of the frames of each clip, (clips, length)."""
    wanted_rate = rate if wanted_rate is None else wanted_rate
    count = math.floor(frames * wanted_rate / rate)
    numbers = (np.arange(count, dtype=np.float32) * np.float32(rate / wanted_rate)).astype(int)
    starts = np.arange(0, max(count - length + 1, 0), step)
    return numbers[starts[:, None] + np.arange(length)]


class _ClipDataset(VisionDataset):
    """Base of the datasets: `samples` of (path, class), of which `indices` count."""

    samples: list[tuple[str, int]]
    indices: Sequence[int]
    video_clips: VideoClips
    full_video_clips: VideoClips

    @property
    def metadata(self) -> dict[str, Any]:
        """Of all videos; pass it as `_precomputed_metadata` to count no frames again."""
        return self.full_video_clips.metadata

    def __len__(self) -> int:
        return self.video_clips.num_clips()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        video, audio, _, number = self.video_clips.get_clip(index)
        if self.transform is not None:
            video = self.transform(video)
        return video, audio, self.samples[self.indices[number]][1]


class Kinetics(_ClipDataset):
    """Ten seconds of 400, 600 or 700 human actions.  Source: Kay et al. 2017.

    Files: `root/split/class/*.mp4`.  download: fetches and unpacks the archives of the split.
    """

    _SOURCE = "https://s3.amazonaws.com/kinetics"
    _FOLDERS = {"400": ("400", "k400"), "600": ("600", "k600"), "700": ("700_2020", "k700_2020")}

    def __init__(
        self, root: Any, frames_per_clip: int, num_classes: str = "400", split: str = "train",
        frame_rate: int | None = None, step_between_clips: int = 1,
        transform: Callable[..., Any] | None = None, extensions: tuple[str, ...] = ("avi", "mp4"),
        download: bool = False, num_download_workers: int = 1, num_workers: int = 1,
        _precomputed_metadata: dict[str, Any] | None = None, _legacy: bool = False,
        output_format: str = "TCHW",
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform)
        self.num_classes = chosen(num_classes, "num_classes", tuple(self._FOLDERS))
        self.split = "unknown" if _legacy else chosen(split, "split", ("train", "val", "test"))
        if _legacy and download:
            raise ValueError("Cannot download the videos using legacy_structure.")
        self.split_folder = str(root) if _legacy else os.path.join(root, split)
        if download:
            self._download()
        self.classes, class_to_idx = find_classes(self.split_folder)
        self.samples = make_dataset(self.split_folder, class_to_idx, tuple(extensions))
        self.indices = range(len(self.samples))
        self.video_clips = self.full_video_clips = VideoClips(
            [path for path, _ in self.samples], frames_per_clip, step_between_clips, frame_rate,
            _precomputed_metadata, num_workers, "THWC" if _legacy else output_format,
        )  # fmt: skip

    def _download(self) -> None:
        """Archives listed in a file of the source.  Raises: RuntimeError if they are unpacked."""
        if Path(self.split_folder).exists():
            raise RuntimeError(
                f"The directory {self.split_folder} already exists. If you want to re-download or"
                " re-extract the images, delete the directory."
            )
        folder, short = self._FOLDERS[self.num_classes]
        listed = f"{short}_{self.split}_path.txt"
        files = os.path.join(self.root, "files")
        download_url(f"{self._SOURCE}/{folder}/{self.split}/{listed}", files)
        for line in (Path(files) / listed).read_text(encoding="utf-8").split():
            download_and_extract_archive(line, os.path.join(self.root, "tars"), self.split_folder)


class _Folds(_ClipDataset):
    """Base of the sets of .avi files that come with three ways to divide them."""

    def __init__(
        self, root: Any, annotation_path: Any, frames_per_clip: int, step_between_clips: int = 1,
        frame_rate: int | None = None, fold: int = 1, train: bool = True,
        transform: Callable[..., Any] | None = None,
        _precomputed_metadata: dict[str, Any] | None = None, num_workers: int = 1,
        output_format: str = "THWC",
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform)
        if fold not in (1, 2, 3):
            raise ValueError(f"fold should be between 1 and 3, got {fold}")
        self.fold, self.train = fold, train
        self.classes, class_to_idx = find_classes(self.root)
        self.samples = make_dataset(self.root, class_to_idx, ("avi",))
        paths = [path for path, _ in self.samples]
        self.full_video_clips = VideoClips(
            paths, frames_per_clip, step_between_clips, frame_rate, _precomputed_metadata,
            num_workers, output_format,
        )  # fmt: skip
        belong = self._listed(Path(annotation_path))
        self.indices = [i for i, path in enumerate(paths) if self._name(path) in belong]
        self.video_clips = self.full_video_clips.subset(list(self.indices))

    def _listed(self, folder: Path) -> set[str]:
        """The names of the fold's videos."""
        raise NotImplementedError

    def _name(self, path: str) -> str:
        """What `_listed` calls a video."""
        raise NotImplementedError


class HMDB51(_Folds):
    """Clips of 51 human motions.  Source: Kuehne et al. 2011."""

    def _listed(self, folder: Path) -> set[str]:
        tag = "1" if self.train else "2"
        lines = (
            line.split()
            for path in folder.glob(f"*test_split{self.fold}.txt")
            for line in path.read_text(encoding="utf-8").splitlines()
        )
        return {words[0] for words in lines if words and words[1] == tag}

    def _name(self, path: str) -> str:
        return os.path.basename(path)


class UCF101(_Folds):
    """Clips of 101 human actions.  Source: Soomro et al. 2012."""

    def _listed(self, folder: Path) -> set[str]:
        name = f"{'train' if self.train else 'test'}list{self.fold:02d}.txt"
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        return {line.split()[0] for line in lines if line.strip()}

    def _name(self, path: str) -> str:
        return Path(path).relative_to(self.root).as_posix()
