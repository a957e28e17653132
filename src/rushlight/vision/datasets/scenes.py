"""Pictures with notes of their own kind: streets, faces, patches, digits that move, species.

In: folders and files of the original publications.  Out: (image, target), or what the class
says.  Level 14.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.datasets.folder import default_loader
from rushlight.vision.datasets.listed import (
    NOT_FOUND,
    Listed,
    Sample,
    inside,
    lines,
    loaded,
    matlab,
)
from rushlight.vision.datasets.transfer import download_and_extract_archive, download_url
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.pillow import Image


def _rgb(path: Any) -> Any:
    return loaded(path).convert("RGB")


class Cityscapes(VisionDataset):
    """Streets and what each pixel shows.  Source: Cordts et al. 2016."""

    _endings = {
        "instance": "instanceIds.png", "semantic": "labelIds.png", "color": "color.png",
        "polygon": "polygons.json",
    }  # fmt: skip

    def __init__(
        self, root: Any, split: str = "train", mode: str = "fine", target_type: Any = "instance",
        transform: Any = None, target_transform: Any = None, transforms: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms, transform, target_transform)
        self.mode = "gtFine" if chosen(mode, "mode", ("fine", "coarse")) == "fine" else "gtCoarse"
        valid = ("train", "test", "val") if mode == "fine" else ("train", "train_extra", "val")
        self.split = chosen(split, "split", valid)
        kinds = target_type if isinstance(target_type, list) else [target_type]
        self.target_type = [chosen(k, "target_type", tuple(self._endings)) for k in kinds]
        images = self._folder / "leftImg8bit" / split
        notes = self._folder / self.mode / split
        if not images.is_dir() or not notes.is_dir():
            raise RuntimeError(
                "Dataset not found or incomplete. Please make sure all required folders for the"
                ' specified "split" and "mode" are inside the "root" directory'
            )
        self.images: list[str] = []
        self.targets: list[list[str]] = []
        for path in sorted(images.glob("*/*")):
            stem = path.name.split("_leftImg8bit")[0]
            place = notes / path.parent.name
            self.images.append(str(path))
            self.targets.append(
                [str(place / f"{stem}_{self.mode}_{self._endings[k]}") for k in self.target_type]
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        found: list[Any] = []
        for kind, path in zip(self.target_type, self.targets[index]):
            text = kind == "polygon"
            found.append(json.loads(Path(path).read_text("utf-8")) if text else loaded(path))
        target = tuple(found) if len(found) > 1 else found[0]
        return self._both(_rgb(self.images[index]), target)

    def __len__(self) -> int:
        return len(self.images)

    def extra_repr(self) -> str:
        return f"Split: {self.split}\nMode: {self.mode}\nType: {self.target_type}"


class SBDataset(VisionDataset):
    """Outlines and classes of VOC's objects; needs SciPy.  Source: Hariharan et al. 2011."""

    num_classes = 20

    def __init__(
        self, root: Any, image_set: str = "train", mode: str = "boundaries",
        download: bool = False, transforms: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms)
        self.image_set = chosen(image_set, "image_set", ("train", "val", "train_noval"))
        self.mode = chosen(mode, "mode", ("segmentation", "boundaries"))
        if download:
            raise RuntimeError(
                f"SBDataset: unpack benchmark.tgz and put img, cls and inst below {self.root}"
            )
        if not self._folder.is_dir():
            raise RuntimeError(NOT_FOUND)
        names = [name.strip() for name in lines(self._folder / f"{image_set}.txt")]
        self.images = [inside(self._folder / "img", name + ".jpg") for name in names]
        self.masks = [inside(self._folder / "cls", name + ".mat") for name in names]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        truth = matlab(Path(self.masks[index]))["GTcls"][()]
        if self.mode == "segmentation":
            target: Any = Image.fromarray(truth["Segmentation"])
        else:
            target = np.stack([outline.toarray() for outline in truth["Boundaries"]])
        return self._both(_rgb(self.images[index]), target)

    def __len__(self) -> int:
        return len(self.images)

    def extra_repr(self) -> str:
        return f"Image set: {self.image_set}\nMode: {self.mode}"


class WIDERFace(VisionDataset):
    """Faces and how well each can be seen.  Source: Yang et al. 2016."""

    _facts = ("blur", "expression", "illumination", "occlusion", "pose", "invalid")

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(os.path.join(root, "widerface"), None, transform, target_transform)
        self.split = chosen(split, "split", ("train", "val", "test"))
        if download:
            raise RuntimeError(
                f"WIDERFace: its server gives the files to browsers only; unpack them below"
                f" {self.root}"
            )
        notes = self._folder / "wider_face_split"
        if not notes.is_dir():
            raise RuntimeError(NOT_FOUND)
        self.img_info: list[dict[str, Any]] = []
        if split == "test":
            for name in lines(notes / "wider_face_test_filelist.txt"):
                self.img_info.append({"img_path": self._path(name)})
        else:
            self._read(lines(notes / f"wider_face_{split}_bbx_gt.txt"))

    def _path(self, name: str) -> str:
        folder = self._folder / f"WIDER_{self.split}" / "images"
        return os.path.abspath(inside(folder, name.strip()))

    def _read(self, text: list[str]) -> None:
        at = 0
        while at < len(text):
            count = int(text[at + 1])
            # Without a face there is still one line, of zeros.
            rows = [[int(n) for n in row.split()] for row in text[at + 2 : at + 2 + max(count, 1)]]
            if any(len(row) < 10 for row in rows) or not rows:
                raise RuntimeError(
                    f"WIDERFace: line {at + 3} of the notes has fewer than 10 numbers"
                )
            table = rl.tensor(rows)
            facts = {name: table[:, 4 + i].clone() for i, name in enumerate(self._facts)}
            notes = {"bbox": table[:, :4].clone(), **facts}
            self.img_info.append({"img_path": self._path(text[at]), "annotations": notes})
            at += 2 + len(rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        info = self.img_info[index]
        return self._both(loaded(info["img_path"]), info.get("annotations"))

    def __len__(self) -> int:
        return len(self.img_info)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


class Kitti(VisionDataset):
    """Streets and their objects in the image and in space.  Source: Geiger et al. 2012."""

    data_url = "https://s3.eu-central-1.amazonaws.com/avg-kitti/"

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None,
        transforms: Any = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms, transform, target_transform)
        self.train = train
        raw = self._folder / "Kitti" / "raw"
        if download:
            for name in ("data_object_image_2.zip", "data_object_label_2.zip"):
                download_and_extract_archive(self.data_url + name, raw, filename=name)
        images = raw / ("training" if train else "testing") / "image_2"
        if not images.is_dir():
            raise RuntimeError("Dataset not found. You may use download=True to download it.")
        self.images = [str(path) for path in sorted(images.iterdir())]
        notes = raw / "training" / "label_2"
        self.targets = [
            str(notes / f"{Path(path).name.split('.')[0]}.txt") for path in self.images if train
        ]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target = self._parse_target(index) if self.train else None
        return self._both(loaded(self.images[index]), target)

    def _parse_target(self, index: int) -> list[dict[str, Any]]:
        found = []
        with open(self.targets[index], encoding="utf-8") as file:
            for row in csv.reader(file, delimiter=" "):
                numbers = [float(x) for x in row[1:15]]
                found.append(
                    {
                        "type": row[0], "truncated": numbers[0], "occluded": int(row[2]),
                        "alpha": numbers[2], "bbox": numbers[3:7], "dimensions": numbers[7:10],
                        "location": numbers[10:13], "rotation_y": numbers[13],
                    }
                )  # fmt: skip
        return found

    def __len__(self) -> int:
        return len(self.images)


class MovingMNIST(VisionDataset):
    """Videos of two digits that move: (T, 1, 64, 64).  Source: Srivastava et al. 2015."""

    url = "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy"

    def __init__(
        self, root: Any, split: str | None = None, split_ratio: int = 10, download: bool = False,
        transform: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform)
        folder, name = self._folder / type(self).__name__, "mnist_test_seq.npy"
        if split is not None:
            chosen(split, "split", ("train", "test"))
        if not isinstance(split_ratio, int):
            raise TypeError(f"`split_ratio` should be an integer, but got {type(split_ratio)}")
        if not 1 <= split_ratio <= 19:
            raise ValueError(f"`split_ratio` should be `1 <= split_ratio <= 19`, got {split_ratio}")
        self.split, self.split_ratio = split, split_ratio
        if download:
            download_url(self.url, folder, name, "be083ec986bfe91a449d63653c411eb2")
        if not (folder / name).is_file():
            raise RuntimeError(NOT_FOUND)
        frames = np.load(folder / name, allow_pickle=False)
        if split is not None:
            frames = frames[:split_ratio] if split == "train" else frames[split_ratio:]
        self.data = rl.from_numpy(np.ascontiguousarray(frames.swapaxes(0, 1)[:, :, None]))

    def __getitem__(self, index: int) -> Any:
        video = self.data[index]
        return video if self.transform is None else self.transform(video)

    def __len__(self) -> int:
        return len(self.data)


class FER2013(VisionDataset):
    """Faces of 48 × 48 and their expressions.  Source: Goodfellow et al. 2013."""

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = chosen(split, "split", ("train", "test"))
        folder = self._folder / "fer2013"
        names = ("fer2013.csv", "icml_face_data.csv", f"{split}.csv")
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise RuntimeError(f"{names[-1]} not found in {folder}; it has to be put there by hand")
        whole = path.name != names[-1]
        uses = ("Training",) if split == "train" else ("PublicTest", "PrivateTest")
        self.samples = []
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                if whole and row["Usage"] not in uses:
                    continue
                face = np.array(row["pixels"].split(), dtype=np.uint8).reshape(48, 48)
                known = whole or split == "train"
                self.samples.append((face, int(row["emotion"]) if known else None))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        face, target = self.samples[index]
        image: Any = Image.fromarray(face)
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.samples)

    def extra_repr(self) -> str:
        return f"split={self.split}"


class INaturalist(VisionDataset):
    """Animals and plants by species.  Source: Van Horn et al. 2018."""

    ranks = ("kingdom", "phylum", "class", "order", "family", "genus")
    versions = ("2017", "2018", "2019", "2021_train", "2021_train_mini", "2021_valid")

    def __init__(
        self, root: Any, version: str = "2021_train", target_type: Any = "full",
        transform: Any = None, target_transform: Any = None, download: bool = False,
        loader: Any = None,
    ) -> None:  # fmt: skip
        self.version = chosen(version, "version", self.versions)
        folder = os.path.join(root, version)
        super().__init__(folder, transform=transform, target_transform=target_transform)
        if download:
            raise RuntimeError(
                f"INaturalist: unpack the archive of {version} and rename its folder to {folder}"
            )
        if not self._folder.is_dir():
            raise RuntimeError(NOT_FOUND)
        new = version.startswith("2021")
        kinds = target_type if isinstance(target_type, list) else [target_type]
        valid = ("full", *self.ranks) if new else ("full", "super")
        self.target_type = [chosen(kind, "target_type", valid) for kind in kinds]
        self.loader = loader
        self.all_categories: list[str] = []
        self.categories_index: dict[str, dict[str, int]] = {}
        self.categories_map: list[dict[str, int]] = []
        if new:
            self._read_2021()
        else:
            self._read_older()
        self.index: list[tuple[int, str]] = []
        for number, name in enumerate(self.all_categories):
            files = sorted(os.listdir(self._folder / name))
            self.index += [(number, file) for file in files]

    def _read_2021(self) -> None:
        self.all_categories = sorted(entry.name for entry in self._folder.iterdir())
        self.categories_index = {rank: {} for rank in self.ranks}
        for number, name in enumerate(self.all_categories):
            pieces = name.split("_")
            if len(pieces) != 8 or pieces[0] != f"{number:05d}":
                raise RuntimeError(
                    f"Unexpected category name {name}: eight pieces that begin with"
                    f" {number:05d} were expected"
                )
            found = {}
            for rank, word in zip(self.ranks, pieces[1:7]):
                known = self.categories_index[rank]
                found[rank] = known.setdefault(word, len(known))
            self.categories_map.append(found)

    def _read_older(self) -> None:
        tops = sorted(entry.name for entry in self._folder.iterdir())
        self.categories_index = {"super": {name: i for i, name in enumerate(tops)}}
        known: dict[int, tuple[str, int]] = {}
        for top, name in enumerate(tops):
            for below in sorted(entry.name for entry in (self._folder / name).iterdir()):
                if self.version != "2017" and not below.isdigit():
                    raise RuntimeError(f"Unexpected non-numeric dir name: {below}")
                number = len(known) if self.version == "2017" else int(below)
                if number in known:
                    raise RuntimeError(f"Duplicate category {below}")
                known[number] = (os.path.join(name, below), top)
        for number in range(len(known)):
            if number not in known:
                raise RuntimeError(f"Missing category {number}")
            self.all_categories.append(known[number][0])
            self.categories_map.append({"super": known[number][1]})

    def category_name(self, category_type: str, category_id: int) -> str:
        """The name of a number.  Raises: ValueError where there is none."""
        if category_type == "full":
            return self.all_categories[category_id]
        if category_type not in self.categories_index:
            raise ValueError(f"Invalid category type '{category_type}'")
        for name, number in self.categories_index[category_type].items():
            if number == category_id:
                return name
        raise ValueError(f"Invalid category id {category_id} for {category_type}")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        category, name = self.index[index]
        path = self._folder / self.all_categories[category] / name
        found = [
            category if kind == "full" else self.categories_map[category][kind]
            for kind in self.target_type
        ]
        image = loaded(path) if self.loader is None else self.loader(path)
        return self._both(image, tuple(found) if len(found) > 1 else found[0])

    def __len__(self) -> int:
        return len(self.index)


class _Lfw(Listed):
    """Faces in the wild, as they are or aligned.  Source: Huang et al. 2007."""

    _folders = {
        "original": "lfw", "funneled": "lfw_funneled", "deepfunneled": "lfw-deepfunneled",
    }  # fmt: skip
    _files = {"10fold": "", "train": "DevTrain", "test": "DevTest"}
    by_hand = "its server is gone: put its folders and lists there by hand"

    def __init__(
        self, root: Any, split: str = "10fold", image_set: str = "funneled", transform: Any = None,
        target_transform: Any = None, download: bool = False, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        self.split = chosen(split.lower(), "split", tuple(self._files))
        self.image_set = chosen(image_set.lower(), "image_set", tuple(self._folders))
        super().__init__(
            os.path.join(root, "lfw-py"), transform, target_transform, download, loader
        )
        self.data = [path for path, _ in self.samples]
        self.targets = [target for _, target in self.samples]

    def _path(self, name: str, number: str) -> str:
        folder = self._folder / self._folders[self.image_set]
        return inside(folder / name, f"{name}_{int(number):04d}.jpg")

    def _lists(self, kind: str) -> list[list[str]]:
        return [
            line.split() for line in lines(self._folder / f"{kind}{self._files[self.split]}.txt")
        ]

    def extra_repr(self) -> str:
        return f"Alignment: {self.image_set}\nSplit: {self.split}"


class LFWPeople(_Lfw):
    """Faces and whose they are."""

    def listing(self) -> Iterable[Sample]:
        names = [line.split()[0] for line in lines(self._folder / "lfw-names.txt")]
        self.class_to_idx = {name: number for number, name in enumerate(names)}
        rows = self._lists("people")
        # A fold begins with its length; ten folds begin with their count.
        at = 1 if self.split == "10fold" else 0
        while at < len(rows):
            count = int(rows[at][0])
            for name, pictures in rows[at + 1 : at + 1 + count]:
                for number in range(1, int(pictures) + 1):
                    yield self._path(name, str(number)), self.class_to_idx[name]
            at += 1 + count


class LFWPairs(_Lfw):
    """Two faces and whether they are of one person."""

    def listing(self) -> Iterable[Sample]:
        for row in self._lists("pairs")[1:]:
            first, second = (row[0], row[1]), (row[-2] if len(row) == 4 else row[0], row[-1])
            yield (self._path(*first), self._path(*second)), int(len(row) == 3)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:  # type: ignore[override]
        (first, second), target = self.samples[index]
        images = [self.loader(path) for path in (first, second)]
        if self.transform is not None:
            images = [self.transform(image) for image in images]
        if self.target_transform is not None:
            target = self.target_transform(target)
        return images[0], images[1], target


class PhotoTour(VisionDataset):
    """Patches of 64 × 64 of three places, and which show the same.  Source: Brown et al. 2011."""

    lens = {
        "notredame": 468159, "yosemite": 633587, "liberty": 450092, "liberty_harris": 379587,
        "yosemite_harris": 450912, "notredame_harris": 325295,
    }  # fmt: skip

    def __init__(
        self, root: Any, name: str, train: bool = True, transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform)
        self.name, self.train = chosen(name, "name", tuple(self.lens)), train
        folder = self._folder / name
        if download:
            raise RuntimeError(f"PhotoTour: unpack {name}.zip into {folder} by hand")
        if not folder.is_dir():
            raise RuntimeError(NOT_FOUND)
        self.data = self._patches(folder)
        self.labels = rl.tensor([int(line.split()[0]) for line in lines(folder / "info.txt")])
        rows = [line.split() for line in lines(folder / "m50_100000_100000_0.txt")]
        self.matches = rl.tensor([[int(r[0]), int(r[3]), int(r[1] == r[4])] for r in rows])

    def _patches(self, folder: Path) -> Tensor:
        sheets = []
        for path in sorted(folder.glob("*.bmp")):
            sheet = np.asarray(loaded(path).convert("L"))
            rows, columns = sheet.shape[0] // 64, sheet.shape[1] // 64
            cut = sheet.reshape(rows, 64, columns, 64).swapaxes(1, 2)
            sheets.append(cut.reshape(-1, 64, 64))
        return rl.from_numpy(np.concatenate(sheets)[: self.lens[self.name]])

    def __getitem__(self, index: int) -> Any:
        change = self.transform or (lambda patch: patch)
        if self.train:
            return change(self.data[index])
        first, second, same = self.matches[index]
        return change(self.data[first]), change(self.data[second]), same

    def __len__(self) -> int:
        return len(self.data) if self.train else len(self.matches)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class PCAM(VisionDataset):
    """Tissue of 96 × 96, healthy or not; needs h5py.  Source: Veeling et al. 2018."""

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        name = chosen(split, "split", ("train", "test", "val"))
        name = "valid" if name == "val" else name
        if download:
            raise RuntimeError(f"PCAM: put its files below {self.root}/pcam by hand")
        try:
            h5py = importlib.import_module("h5py")
        except ImportError as error:
            raise RuntimeError("PCAM is a file of HDF5: reading it needs h5py") from error
        stem = str(self._folder / "pcam" / f"camelyonpatch_level_2_split_{name}_")
        if not os.path.isfile(stem + "x.h5"):
            raise RuntimeError(NOT_FOUND)
        self._images = h5py.File(stem + "x.h5")["x"]
        self._labels = h5py.File(stem + "y.h5")["y"]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = Image.fromarray(self._images[index]).convert("RGB")
        return self._both(image, int(self._labels[index, 0, 0, 0]))

    def __len__(self) -> int:
        return self._images.shape[0]
