"""Pairs of pictures with how each pixel moves, or how far away it is.

In: folders of the original publications.  Out: (first, second, flow) or (left, right,
disparity), with a mask of the pixels that are known where the dataset has one; None where the
truth is held back.  Level 14.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.utils.data import ConcatDataset
from rushlight.vision.datasets.folder import default_loader
from rushlight.vision.datasets.listed import NOT_FOUND, loaded
from rushlight.vision.datasets.transfer import download_and_extract_archive
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.io import decode_png, read_file

# Sides beyond this are no picture: such a header is a mistake or an attack.
LARGEST_SIDE = 100_000


def _checked(path: Any, width: int, height: int, held: int, needed: int) -> None:
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE) or held < needed:
        raise ValueError(f"{path}: says {width} × {height} and holds {held} numbers; refused")


def read_flo(path: Any) -> np.ndarray:
    """The flow (2, H, W) of a .flo file.  Raises: ValueError for files that are none."""
    data = Path(path).read_bytes()
    if data[:4] != b"PIEH" or len(data) < 12:
        raise ValueError(f"{path}: Magic number incorrect. Invalid .flo file")
    width, height = (int(n) for n in np.frombuffer(data, "<i4", count=2, offset=4))
    _checked(path, width, height, (len(data) - 12) // 4, 2 * width * height)
    flat = np.frombuffer(data, "<f4", count=2 * width * height, offset=12)
    return flat.reshape(height, width, 2).transpose(2, 0, 1)


def read_pfm(path: Any, channels: tuple[int, ...] = (1, 3)) -> np.ndarray:
    """The numbers (C, H, W) of a .pfm file.  Raises: ValueError for files that are none."""
    data = Path(path).read_bytes()
    header = re.match(rb"(PF|Pf)\s+(\d{1,7})\s+(\d{1,7})\s+([-+.\deE]+)\s", data)
    if header is None:
        raise ValueError(f"{path}: Invalid PFM file")
    count = 3 if header[1] == b"PF" else 1
    if count not in channels:
        raise ValueError(f"{path}: has {count} channels; {channels} are expected")
    width, height, scale = int(header[2]), int(header[3]), float(header[4])
    left = data[header.end() :]
    _checked(path, width, height, len(left) // 4, width * height * count)
    kind = "<f4" if scale < 0 else ">f4"
    rows = np.frombuffer(left, kind, count=width * height * count)
    # The file's rows run upwards.
    return rows.reshape(height, width, count)[::-1].transpose(2, 0, 1).astype(np.float32)


def _kitti_flow(path: Any) -> tuple[np.ndarray, np.ndarray]:
    """Flow of three channels of 16 bits: 64 steps a pixel around 2**15, and whether known."""
    table = decode_png(read_file(str(path))).numpy().astype(np.float32)
    return (table[:2] - 2**15) / 64, table[2].astype(bool)


class FlowDataset(VisionDataset):
    """Two frames and the flow between them; a subclass lists them."""

    has_mask = False

    def __init__(
        self, root: Any, split: str = "train", transforms: Any = None, loader: Any = default_loader
    ) -> None:
        super().__init__(root)
        self.transforms = transforms
        self.loader = loader
        self.split = split
        self.pairs: list[tuple[Any, Any]] = []
        self.flows: list[Any] = []
        self.listing()
        if not self.pairs:
            raise FileNotFoundError(
                f"{type(self).__name__}: could not find its images below {self.root}"
            )

    def listing(self) -> None:
        """Fill `pairs`, and `flows` where the truth is known."""
        raise NotImplementedError

    def read(self, path: Any) -> Any:
        """The flow, with a mask where `has_mask`."""
        return read_flo(path)

    def _frames(self, pictures: list[Path], flows: list[Path]) -> None:
        self.pairs += [(pictures[i], pictures[i + 1]) for i in range(len(pictures) - 1)]
        self.flows += flows

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        first, second = (self.loader(path) for path in self.pairs[index])
        flow, mask = None, None
        if self.flows:
            found = self.read(self.flows[index])
            flow, mask = found if self.has_mask else (found, None)
        if self.transforms is not None:
            first, second, flow, mask = self.transforms(first, second, flow, mask)
        masked = self.has_mask or mask is not None
        return (first, second, flow, mask) if masked else (first, second, flow)

    def __len__(self) -> int:
        return len(self.pairs)

    def __rmul__(self, times: int) -> Any:
        return ConcatDataset([self] * times)


class Sintel(FlowDataset):
    """Scenes of an animated film.  Source: Butler et al. 2012."""

    def __init__(
        self, root: Any, split: str = "train", pass_name: str = "clean", transforms: Any = None,
        loader: Any = default_loader,
    ) -> None:  # fmt: skip
        chosen(split, "split", ("train", "test"))
        chosen(pass_name, "pass_name", ("clean", "final", "both"))
        self.passes = ["clean", "final"] if pass_name == "both" else [pass_name]
        super().__init__(root, split, transforms, loader)

    def listing(self) -> None:
        base = self._folder / "Sintel"
        for name in self.passes:
            images = base / ("training" if self.split == "train" else "test") / name
            for scene in sorted(images.iterdir()) if images.is_dir() else []:
                flows = base / "training" / "flow" / scene.name
                truth = sorted(flows.glob("*.flo")) if self.split == "train" else []
                self._frames(sorted(scene.glob("*.png")), truth)


class KittiFlow(FlowDataset):
    """Streets.  Source: Menze and Geiger 2015."""

    has_mask = True

    def listing(self) -> None:
        chosen(self.split, "split", ("train", "test"))
        base = self._folder / "KittiFlow" / f"{self.split}ing"
        ends = [sorted((base / "image_2").glob(f"*_{n}.png")) for n in (10, 11)]
        self.pairs = list(zip(*ends))
        if self.split == "train":
            self.flows = sorted((base / "flow_occ").glob("*_10.png"))

    def read(self, path: Any) -> Any:
        return _kitti_flow(path)


class FlyingChairs(FlowDataset):
    """Chairs that fly.  Source: Dosovitskiy et al. 2015."""

    def __init__(self, root: Any, split: str = "train", transforms: Any = None) -> None:
        super().__init__(root, chosen(split, "split", ("train", "val")), transforms)

    def listing(self) -> None:
        base = self._folder / "FlyingChairs"
        names = base / "FlyingChairs_train_val.txt"
        if not names.is_file():
            raise FileNotFoundError(
                f"The FlyingChairs_train_val.txt file was not found below {base}; it says which"
                " pairs are for training"
            )
        splits = np.loadtxt(names, dtype=np.int32)
        images = sorted((base / "data").glob("*.ppm"))
        flows = sorted((base / "data").glob("*.flo"))
        wanted = 1 if self.split == "train" else 2
        for i, flow in enumerate(flows):
            if splits[i] == wanted:
                self.flows.append(flow)
                self.pairs.append((images[2 * i], images[2 * i + 1]))


class FlyingThings3D(FlowDataset):
    """Things that fly.  Source: Mayer et al. 2016."""

    def __init__(
        self, root: Any, split: str = "train", pass_name: str = "clean", camera: str = "left",
        transforms: Any = None, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        chosen(split, "split", ("train", "test"))
        passes = {
            "clean": ["frames_cleanpass"], "final": ["frames_finalpass"],
            "both": ["frames_cleanpass", "frames_finalpass"],
        }  # fmt: skip
        self.passes = passes[chosen(pass_name, "pass_name", tuple(passes))]
        chosen(camera, "camera", ("left", "right", "both"))
        self.cameras = ["left", "right"] if camera == "both" else [camera]
        super().__init__(root, split, transforms, loader)

    def listing(self) -> None:
        base, part = self._folder / "FlyingThings3D", self.split.upper()
        for name in self.passes:
            for camera in self.cameras:
                for direction in ("into_future", "into_past"):
                    for scene in sorted((base / name / part).glob("*/*")):
                        images = sorted((scene / camera).glob("*.png"))
                        place = base / "optical_flow" / part / scene.parent.name / scene.name
                        flows = sorted((place / direction / camera).glob("*.pfm"))
                        for i in range(len(flows) - 1):
                            if direction == "into_future":
                                self.pairs.append((images[i], images[i + 1]))
                                self.flows.append(flows[i])
                            else:
                                self.pairs.append((images[i + 1], images[i]))
                                self.flows.append(flows[i + 1])

    def read(self, path: Any) -> Any:
        return read_pfm(path, (3,))[:2]


class HD1K(FlowDataset):
    """Streets in many lights.  Source: Kondermann et al. 2016."""

    has_mask = True

    def listing(self) -> None:
        chosen(self.split, "split", ("train", "test"))
        base = self._folder / "hd1k"
        if self.split == "test":
            folder = base / "hd1k_challenge" / "image_2"
            ends = [sorted(folder.glob(f"*{n}.png")) for n in (10, 11)]
            self.pairs = list(zip(*ends))
            return
        for number in range(36):
            flows = sorted((base / "hd1k_flow_gt" / "flow_occ").glob(f"{number:06d}_*.png"))
            images = sorted((base / "hd1k_input" / "image_2").glob(f"{number:06d}_*.png"))
            for i in range(len(flows) - 1):
                self.flows.append(flows[i])
                self.pairs.append((images[i], images[i + 1]))

    def read(self, path: Any) -> Any:
        return _kitti_flow(path)


# ---- stereo ------------------------------------------------------------------------------------


class StereoDataset(VisionDataset):
    """Left and right pictures and their disparities; a subclass says where they are."""

    has_mask = False

    def __init__(self, root: Any, transforms: Any = None) -> None:
        super().__init__(root)
        self.transforms = transforms
        self.pairs: list[tuple[Any, Any]] = []
        self.disparities: list[tuple[Any, Any]] = []

    def _add(self, left: Iterable[Any], right: Iterable[Any], truth: Any, other: Any) -> None:
        pictures = list(zip(sorted(left), sorted(right)))
        if not pictures:
            raise FileNotFoundError(f"{NOT_FOUND}; no pictures of {type(self).__name__}")
        nothing = [None] * len(pictures)
        self.pairs += pictures
        self.disparities += list(
            zip(nothing if truth is None else sorted(truth),
                nothing if other is None else sorted(other))
        )  # fmt: skip

    def read(self, path: Any) -> tuple[Any, Any]:
        """The disparity (1, H, W) and its mask."""
        return np.abs(read_pfm(path)), None

    def picture(self, path: Any) -> Any:
        """One picture in RGB."""
        return default_loader(path)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        images = tuple(self.picture(path) for path in self.pairs[index])
        found = [
            (None, None) if path is None else self.read(path) for path in self.disparities[index]
        ]
        maps, masks = tuple(m for m, _ in found), tuple(m for _, m in found)
        if self.transforms is not None:
            images, maps, masks = self.transforms(images, maps, masks)
        if self.has_mask or masks[0] is not None:
            return images[0], images[1], maps[0], masks[0]
        return images[0], images[1], maps[0]

    def __len__(self) -> int:
        return len(self.pairs)


def _scaled(path: Any, scale: float) -> np.ndarray:
    return np.asarray(loaded(path), dtype=np.float32)[None] / np.float32(scale)


class CarlaStereo(StereoDataset):
    """Simulated streets.  Source: Li et al. 2022."""

    def __init__(self, root: Any, transforms: Any = None) -> None:
        super().__init__(root, transforms)
        base = self._folder / "carla-highres" / "trainingF"
        names = ("im0.png", "im1.png", "disp0GT.pfm", "disp1GT.pfm")
        self._add(*(base.glob(f"*/{name}") for name in names))


class _KittiStereo(StereoDataset):
    has_mask = True
    folder, images, truth = "", ("", ""), ("", "")

    def __init__(self, root: Any, split: str = "train", transforms: Any = None) -> None:
        super().__init__(root, transforms)
        base = self._folder / self.folder / (chosen(split, "split", ("train", "test")) + "ing")
        left, right = (base.glob(name) for name in self.images)
        known = [base.glob(name) if name and split == "train" else None for name in self.truth]
        self._add(left, right, known[0], known[1])

    def read(self, path: Any) -> tuple[Any, Any]:
        return np.asarray(loaded(path))[None] / 256.0, None


class Kitti2012Stereo(_KittiStereo):
    """Streets.  Source: Geiger et al. 2012."""

    folder = "Kitti2012"
    images, truth = ("colored_0/*_10.png", "colored_1/*_10.png"), ("disp_noc/*.png", "")


class Kitti2015Stereo(_KittiStereo):
    """Streets.  Source: Menze and Geiger 2015."""

    folder = "Kitti2015"
    images, truth = ("image_2/*.png", "image_3/*.png"), ("disp_occ_0/*.png", "disp_occ_1/*.png")


class CREStereo(StereoDataset):
    """Things made up, to learn from.  Source: Li et al. 2022."""

    has_mask = True

    def __init__(self, root: Any, transforms: Any = None) -> None:
        super().__init__(root, transforms)
        ends = ("_left.jpg", "_right.jpg", "_left.disp.png", "_right.disp.png")
        for part in ("shapenet", "reflective", "tree", "hole"):
            base = self._folder / "CREStereo" / part
            self._add(*(base.glob(f"*{end}") for end in ends))

    def read(self, path: Any) -> tuple[Any, Any]:
        return _scaled(path, 32.0), None


class FallingThingsStereo(StereoDataset):
    """Things that fall.  Source: Tremblay et al. 2018."""

    def __init__(self, root: Any, variant: str = "single", transforms: Any = None) -> None:
        super().__init__(root, transforms)
        chosen(variant, "variant", ("single", "mixed", "both"))
        ends = ("*.left.jpg", "*.right.jpg", "*.left.depth.png", "*.right.depth.png")
        for part in ["single", "mixed"] if variant == "both" else [variant]:
            base = self._folder / "FallingThings" / part
            deep = "*/*/" if part == "single" else "*/"
            self._add(*(base.glob(deep + end) for end in ends))

    def read(self, path: Any) -> tuple[Any, Any]:
        depth = np.asarray(loaded(path)).astype(np.float32)
        facts = json.loads((Path(path).parent / "_camera_settings.json").read_text("utf-8"))
        focal = facts["camera_settings"][0]["intrinsic_settings"]["fx"]
        # The cameras are 6 cm apart, and the file counts hundredths of a centimetre.
        return (6 * focal * 100 / depth)[None], None


class SceneFlowStereo(StereoDataset):
    """Things that fly, drive, and monkeys.  Source: Mayer et al. 2016."""

    def __init__(
        self, root: Any, variant: str = "FlyingThings3D", pass_name: str = "clean",
        transforms: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms)
        deep = {"FlyingThings3D": "*/*/*", "Driving": "*/*/*", "Monkaa": "*"}
        deep_name = deep[chosen(variant, "variant", tuple(deep))]
        chosen(pass_name, "pass_name", ("clean", "final", "both"))
        base = self._folder / "SceneFlow" / variant
        for name in ["clean", "final"] if pass_name == "both" else [pass_name]:
            images, truth = base / f"frames_{name}pass", base / "disparity"
            self._add(
                images.glob(f"{deep_name}/left/*.png"), images.glob(f"{deep_name}/right/*.png"),
                truth.glob(f"{deep_name}/left/*.pfm"), truth.glob(f"{deep_name}/right/*.pfm"),
            )  # fmt: skip


class SintelStereo(StereoDataset):
    """Scenes of an animated film.  Source: Butler et al. 2012."""

    has_mask = True

    def __init__(self, root: Any, pass_name: str = "final", transforms: Any = None) -> None:
        super().__init__(root, transforms)
        chosen(pass_name, "pass_name", ("final", "clean", "both"))
        base = self._folder / "Sintel" / "training"
        for name in ["final", "clean"] if pass_name == "both" else [pass_name]:
            self._add(
                base.glob(f"{name}_left/*/*.png"), base.glob(f"{name}_right/*/*.png"),
                base.glob("disparities/*/*.png"), None,
            )  # fmt: skip

    def read(self, path: Any) -> tuple[Any, Any]:
        table = np.asarray(loaded(path), dtype=np.float32)
        # Whole pixels times four, their 64ths, and their 2 ** 14ths.
        disparity = table[..., 0] * 4 + table[..., 1] / 2**6 + table[..., 2] / 2**14
        place = Path(path)
        base, scene = place.parents[2], place.parent.name
        hidden, outside = (
            np.asarray(loaded(base / kind / scene / place.name)) for kind in
            ("occlusions", "outofframe")
        )  # fmt: skip
        return disparity[None], (hidden == 0) & (outside == 0)


class InStereo2k(StereoDataset):
    """Rooms.  Source: Bao et al. 2020."""

    def __init__(self, root: Any, split: str = "train", transforms: Any = None) -> None:
        super().__init__(root, transforms)
        base = self._folder / "InStereo2k" / chosen(split, "split", ("train", "test"))
        names = ("left.png", "right.png", "left_disp.png", "right_disp.png")
        self._add(*(base.glob(f"*/{name}") for name in names))

    def read(self, path: Any) -> tuple[Any, Any]:
        return _scaled(path, 1024.0), None


class ETH3DStereo(StereoDataset):
    """Rooms and gardens.  Source: Schöps et al. 2017."""

    has_mask = True

    def __init__(self, root: Any, split: str = "train", transforms: Any = None) -> None:
        super().__init__(root, transforms)
        training = chosen(split, "split", ("train", "test")) == "train"
        base = self._folder / "ETH3D"
        images = base / ("two_view_training" if training else "two_view_test")
        truth = (base / "two_view_training_gt").glob("*/disp0GT.pfm") if training else None
        self._add(images.glob("*/im0.png"), images.glob("*/im1.png"), truth, None)

    def read(self, path: Any) -> tuple[Any, Any]:
        mask = np.asarray(loaded(Path(path).parent / "mask0nocc.png"))
        return np.abs(read_pfm(path)), mask.astype(bool)


class Middlebury2014Stereo(StereoDataset):
    """Still scenes under several lights, cameras aligned or not.  Source: Scharstein et al. 2014.

    calibration: "perfect", "imperfect" or "both"; None for the split "test".
    use_ambient_views: the right picture is drawn among those of other exposures and lights.
    """

    has_mask = True
    _SOURCE = "https://vision.middlebury.edu/stereo/data/scenes2014/zip"
    splits = {
        "train": "Adirondack Jadeplant Motorcycle Piano Pipes Playroom Playtable Recycle Shelves"
        " Vintage".split(),
        "additional": "Backpack Bicycle1 Cable Classroom1 Couch Flowers Mask Shopvac Sticks Storage"
        " Sword1 Sword2 Umbrella".split(),
        "test": "Plants Classroom2E Classroom2 Australia DjembeL CrusadeP Crusade Hoops Bicycle2"
        " Staircase Newkuba AustraliaP Djembe Livingroom Computer".split(),
    }

    def __init__(
        self, root: Any, split: str = "train", calibration: str | None = "perfect",
        use_ambient_views: bool = False, transforms: Any = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms)
        self.split = chosen(split, "split", tuple(self.splits))
        self.use_ambient_views = use_ambient_views
        if (calibration is None) != (split == "test"):
            raise ValueError(
                "Split 'test' has only no calibration settings, please set `calibration=None`."
                if split == "test"
                else f"Split '{split}' has calibration settings, however None was provided as an"
                " argument; choose 'perfect', 'imperfect' or 'both'."
            )
        kinds = {None: [""], "both": ["-perfect", "-imperfect"]}.get(calibration)
        kinds = kinds or ["-" + chosen(calibration, "calibration", ("perfect", "imperfect"))]
        base = self._folder / "Middlebury2014" / split
        if download:
            self._download(base)
        if not base.exists():
            raise FileNotFoundError(
                f"The {split} directory was not found in the provided root directory"
            )
        for kind in kinds:
            names = ("im0.png", "im1.png", "disp0.pfm", "disp1.pfm")
            left, right, truth, other = (base.glob(f"*{kind}/{name}") for name in names)
            known = split != "test"
            self._add(left, right, truth if known else None, other if known else None)

    def _download(self, base: Path) -> None:
        """Scenes that are not there yet.  Raises: RuntimeError for the split "test"."""
        if self.split == "test":
            raise RuntimeError(
                "Middlebury2014Stereo: the split 'test' is part of an archive of another"
                " benchmark (MiddEval3-data-F.zip); unpack its testF as Middlebury2014/test"
            )
        for scene in self.splits[self.split]:
            for kind in ("perfect", "imperfect"):
                name = f"{scene}-{kind}"
                if not (base / name).exists():
                    download_and_extract_archive(
                        f"{self._SOURCE}/{name}.zip", str(base), remove_finished=True
                    )

    def picture(self, path: Any) -> Any:
        views = [path]
        if self.use_ambient_views and path.name == "im1.png":
            others = (path.with_name(name) for name in ("im1E.png", "im1L.png"))
            views = [*(other for other in others if other.exists()), path]
        return default_loader(random.choice(views))

    def read(self, path: Any) -> tuple[Any, Any]:
        disparity = np.abs(read_pfm(path))
        disparity[np.isinf(disparity)] = 0
        return disparity, (disparity > 0)[0]
