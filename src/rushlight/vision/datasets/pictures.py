"""Photographs with their notes: VOC, COCO, Caltech, CelebA, flowers, pets, food, signs, ImageNet.

In: the folders and files of the original publications.  Out: (image, target).  Level 14.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import rushlight as rl
from rushlight.vision.datasets.flower_names import FLOWERS
from rushlight.vision.datasets.folder import ImageFolder, make_dataset
from rushlight.vision.datasets.transfer import download_and_extract_archive, download_url
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.pillow import Image

try:
    from scipy import io as scipy_io
except ImportError:
    scipy_io = None

_MISSING = "Dataset not found. You can use download=True to download it"
_VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc{}/{}"
_VOC_FILES = {
    "2012": ("VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd"),
    "2011": ("VOCtrainval_25-May-2011.tar", "6c3384ef61512963050cb5d687e5bf1e"),
    "2010": ("VOCtrainval_03-May-2010.tar", "da459979d0c395079b5c75ee67908abb"),
    "2009": ("VOCtrainval_11-May-2009.tar", "a3e00b113cfcfebf17e343f59da3caa1"),
    "2008": ("VOCtrainval_14-Jul-2008.tar", "2629fa636546599198acfcfbfcf1904a"),
    "2007": ("VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
    "2007-test": ("VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
}


def _loaded(path: Any) -> Any:
    """The image, read at once: nothing stays open."""
    with Image.open(path) as image:
        image.load()
        return image


class _Voc(VisionDataset):
    _targets, _extension, _splits = "", "", ""

    def __init__(
        self, root: Any, year: str = "2012", image_set: str = "train", download: bool = False,
        transform: Any = None, target_transform: Any = None, transforms: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms, transform, target_transform)
        self.year = chosen(year, "year", [str(y) for y in range(2007, 2013)])
        valid = ["train", "trainval", "val"] + (["test"] if year == "2007" else [])
        self.image_set = chosen(image_set, "image_set", valid)
        if download:
            key = "2007-test" if year == "2007" and image_set == "test" else year
            name, md5 = _VOC_FILES[key]
            url = _VOC_URL.format(year, name)
            download_and_extract_archive(url, self.root, filename=name, md5=md5)
        base = "TrainVal/VOCdevkit/VOC2011" if year == "2011" else f"VOCdevkit/VOC{year}"
        folder = self._folder / base
        if not folder.is_dir():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        listing = folder / "ImageSets" / self._splits / f"{image_set}.txt"
        names = listing.read_text().split()
        self.images = [str(folder / "JPEGImages" / f"{name}.jpg") for name in names]
        self.targets = [str(folder / self._targets / (name + self._extension)) for name in names]

    def __len__(self) -> int:
        return len(self.images)


class VOCSegmentation(_Voc):
    """Pascal VOC: photographs and the class of each pixel.  Source: Everingham et al. 2010."""

    _targets, _extension, _splits = "SegmentationClass", ".png", "Segmentation"

    @property
    def masks(self) -> list[str]:
        """Paths of the masks."""
        return self.targets

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = Image.open(self.images[index]).convert("RGB")
        return self._both(image, _loaded(self.masks[index]))


class VOCDetection(_Voc):
    """Pascal VOC: photographs and their notes as nested dicts."""

    _targets, _extension, _splits = "Annotations", ".xml", "Main"

    @property
    def annotations(self) -> list[str]:
        """Paths of the notes."""
        return self.targets

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = Image.open(self.images[index]).convert("RGB")
        return self._both(image, self.parse_voc_xml(_xml(self.annotations[index])))

    @staticmethod
    def parse_voc_xml(node: Any) -> dict[str, Any]:
        """The element as dict; `object` is always a list."""
        children = list(node)
        if not children:
            return {node.tag: node.text.strip() if node.text else node.text}
        found: dict[str, list[Any]] = defaultdict(list)
        for child in children:
            for key, value in VOCDetection.parse_voc_xml(child).items():
                found[key].append(value)
        named: Any = {key: v[0] if len(v) == 1 else v for key, v in found.items()}
        if node.tag == "annotation":
            objects = found.get("object", [])
            named = {**named, "object": objects}
        return {node.tag: named}


def _xml(path: str) -> Any:
    """The root of an XML file.  Raises: ValueError for files that define entities, as bombs do."""
    text = Path(path).read_text(encoding="utf-8")
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise ValueError(f"{path}: defines entities; refused")
    return ElementTree.fromstring(text)


class CocoDetection(VisionDataset):
    """COCO: photographs and lists of their objects.  Source: Lin et al. 2014.

    Reads the notes itself; pycocotools is not needed.
    """

    def __init__(
        self, root: Any, annFile: str, transform: Any = None, target_transform: Any = None,
        transforms: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms, transform, target_transform)
        facts = json.loads(Path(annFile).read_text(encoding="utf-8"))
        self._images = {image["id"]: image for image in facts["images"]}
        self._notes: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for note in facts.get("annotations", []):
            self._notes[note["image_id"]].append(note)
        self.categories = {c["id"]: c for c in facts.get("categories", [])}
        self.ids = sorted(self._images)

    def _load_image(self, id: int) -> Any:
        name = self._images[id]["file_name"]
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise ValueError(f"{name!r} lies outside of {self.root}; refused")
        return Image.open(path).convert("RGB")

    def _load_target(self, id: int) -> list[Any]:
        return list(self._notes.get(id, []))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        id = self.ids[index]
        return self._both(self._load_image(id), self._load_target(id))

    def __len__(self) -> int:
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """COCO: photographs and sentences about them."""

    def _load_target(self, id: int) -> list[str]:
        return [note["caption"] for note in super()._load_target(id)]


class Caltech101(VisionDataset):
    """Photographs in 101 classes.  Source: Fei-Fei et al. 2004.  Outlines need SciPy."""

    _outlines = {
        "Faces": "Faces_2", "Faces_easy": "Faces_3", "Motorbikes": "Motorbikes_16",
        "airplanes": "Airplanes_Side_2",
    }  # fmt: skip

    def __init__(
        self, root: Any, target_type: Any = "category", transform: Any = None,
        target_transform: Any = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(os.path.join(root, "caltech101"), None, transform, target_transform)
        kinds = [target_type] if isinstance(target_type, str) else list(target_type)
        self.target_type = [chosen(k, "target_type", ("category", "annotation")) for k in kinds]
        if download:
            raise RuntimeError(
                "Caltech101: its server gives the files to browsers only; unpack"
                f" 101_ObjectCategories.tar.gz and Annotations.tar below {self.root} by hand"
            )
        base = self._folder / "101_ObjectCategories"
        if not base.is_dir():
            raise RuntimeError(_MISSING)
        self.categories = sorted(p.name for p in base.iterdir() if p.is_dir())
        if "BACKGROUND_Google" in self.categories:
            self.categories.remove("BACKGROUND_Google")
        self.annotation_categories = [self._outlines.get(c, c) for c in self.categories]
        self.index, self.y = [], []
        for number, name in enumerate(self.categories):
            count = len(list((base / name).glob("*.jpg")))
            self.index += list(range(1, count + 1))
            self.y += [number] * count

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        number, place = self.y[index], self.index[index]
        path = (
            self._folder
            / "101_ObjectCategories"
            / self.categories[number]
            / f"image_{place:04d}.jpg"
        )
        targets: list[Any] = []
        for kind in self.target_type:
            targets.append(number if kind == "category" else self._outline(number, place))
        target: Any = tuple(targets) if len(targets) > 1 else targets[0]
        return self._both(_loaded(path), target)

    def _outline(self, number: int, place: int) -> Any:
        if scipy_io is None:
            raise ImportError("Caltech101: outlines are MATLAB's and need SciPy: pip install scipy")
        name = self.annotation_categories[number]
        path = self._folder / "Annotations" / name / f"annotation_{place:04d}.mat"
        return scipy_io.loadmat(path)["obj_contour"]

    def __len__(self) -> int:
        return len(self.index)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}"


class Caltech256(VisionDataset):
    """Photographs in 256 classes.  Source: Griffin et al. 2007."""

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None, download: bool = False
    ) -> None:
        super().__init__(os.path.join(root, "caltech256"), None, transform, target_transform)
        base = self._folder / "256_ObjectCategories"
        if download and not base.is_dir():
            raise RuntimeError(
                "Caltech256: its server gives the files to browsers only; unpack"
                f" 256_ObjectCategories.tar below {self.root} by hand"
            )
        if not base.is_dir():
            raise RuntimeError(_MISSING)
        self.categories = sorted(p.name for p in base.iterdir() if p.is_dir())
        self.index, self.y = [], []
        for number, name in enumerate(self.categories):
            count = len(list((base / name).glob("*.jpg")))
            self.index += list(range(1, count + 1))
            self.y += [number] * count

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        number, place = self.y[index], self.index[index]
        name = self.categories[number]
        path = self._folder / "256_ObjectCategories" / name / f"{number + 1:03d}_{place:04d}.jpg"
        return self._both(_loaded(path), number)

    def __len__(self) -> int:
        return len(self.index)


class CelebA(VisionDataset):
    """Faces with attributes, identity, boxes and landmarks.  Source: Liu et al. 2015."""

    base_folder = "celeba"

    def __init__(
        self, root: Any, split: str = "train", target_type: Any = "attr", transform: Any = None,
        target_transform: Any = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.split = chosen(split, "split", ("train", "valid", "test", "all"))
        self.target_type = [target_type] if isinstance(target_type, str) else list(target_type)
        if not self.target_type and target_transform is not None:
            raise RuntimeError("target_transform is specified but target_type is empty")
        base = self._folder / self.base_folder
        if not (base / "list_attr_celeba.txt").is_file():
            hint = f"CelebA: its drive gives the files to browsers only; put them below {base}"
            raise RuntimeError(hint if download else _MISSING)
        part = {"train": 0, "valid": 1, "test": 2, "all": None}[split]
        rows = [
            line.split() for line in (base / "list_eval_partition.txt").read_text().splitlines()
        ]
        keep = [i for i, row in enumerate(rows) if part is None or int(row[1]) == part]
        self.filename = [rows[i][0] for i in keep]
        _, identity = self._table("identity_CelebA.txt", 0)
        _, box = self._table("list_bbox_celeba.txt", 1)
        _, landmarks = self._table("list_landmarks_align_celeba.txt", 1)
        self.attr_names, attributes = self._table("list_attr_celeba.txt", 1)
        self.identity, self.bbox = identity[keep], box[keep]
        self.landmarks_align = landmarks[keep]
        # Written as -1 and 1.
        self.attr = rl.div(attributes[keep] + 1, 2, rounding_mode="floor")

    def _table(self, name: str, header: int) -> tuple[list[str], Any]:
        lines = (self._folder / self.base_folder / name).read_text().splitlines()
        titles: list[str] = []
        if header:
            titles, lines = lines[header].split(), lines[header + 1 :]
        return titles, rl.tensor([[int(word) for word in line.split()[1:]] for line in lines])

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path = self._folder / self.base_folder / "img_align_celeba" / self.filename[index]
        facts: dict[str, Any] = {
            "attr": self.attr, "bbox": self.bbox, "landmarks": self.landmarks_align,
        }  # fmt: skip
        targets = []
        for kind in self.target_type:
            if kind == "identity":
                targets.append(self.identity[index, 0])
            elif kind in facts:
                targets.append(facts[kind][index])
            else:
                raise ValueError(f'Target type "{kind}" is not recognized.')
        target: Any = None
        if targets:
            target = tuple(targets) if len(targets) > 1 else targets[0]
        return self._both(_loaded(path), target)

    def __len__(self) -> int:
        return len(self.attr)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}\nSplit: {self.split}"


class Flowers102(VisionDataset):
    """Flowers of 102 kinds; the lists need SciPy.  Source: Nilsback and Zisserman 2008."""

    _url = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    _keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    classes = FLOWERS

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = chosen(split, "split", tuple(self._keys))
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        base = self._folder / "flowers-102"
        if download:
            download_and_extract_archive(
                self._url + "102flowers.tgz", base, md5="52808999861908f626f3c1f4e79d11fa"
            )
            for name, md5 in (
                ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
                ("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
            ):
                download_url(self._url + name, base, md5=md5)
        if not (base / "jpg").is_dir():
            raise RuntimeError(_MISSING)
        if scipy_io is None:
            raise ImportError(
                "Flowers102: the lists are MATLAB's and need SciPy: pip install scipy"
            )
        ids = scipy_io.loadmat(base / "setid.mat", squeeze_me=True)[self._keys[split]].tolist()
        labels = scipy_io.loadmat(base / "imagelabels.mat", squeeze_me=True)["labels"]
        self._labels = [int(labels[i - 1]) - 1 for i in ids]
        self._image_files = [base / "jpg" / f"image_{i:05d}.jpg" for i in ids]
        self.loader = loader or (lambda path: Image.open(path).convert("RGB"))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._both(self.loader(self._image_files[index]), self._labels[index])

    def __len__(self) -> int:
        return len(self._image_files)

    def extra_repr(self) -> str:
        return f"split={self._split}"


class OxfordIIITPet(VisionDataset):
    """Cats and dogs of 37 breeds, with masks.  Source: Parkhi et al. 2012."""

    _resources = (
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
            "5c4f3ee8e5d25df40f4fd59a7f44e54c",
        ),
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "95a8c909bbe2e81eed6a22bccdf3f68f",
        ),
    )

    def __init__(
        self, root: Any, split: str = "trainval", target_types: Any = "category",
        transforms: Any = None, transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transforms, transform, target_transform)
        self._split = chosen(split, "split", ("trainval", "test"))
        kinds = [target_types] if isinstance(target_types, str) else list(target_types)
        valid = ("category", "binary-category", "segmentation")
        self._target_types = [chosen(kind, "target_types", valid) for kind in kinds]
        base = self._folder / "oxford-iiit-pet"
        if download:
            for url, md5 in self._resources:
                download_and_extract_archive(url, base, md5=md5)
        if not (base / "annotations" / f"{split}.txt").is_file():
            raise RuntimeError(_MISSING)
        rows = [
            line.split()
            for line in (base / "annotations" / f"{split}.txt").read_text().splitlines()
        ]
        self._labels = [int(row[1]) - 1 for row in rows]
        self._bin_labels = [int(row[2]) - 1 for row in rows]
        names = {int(row[1]) - 1: row[0].rsplit("_", 1)[0] for row in rows}
        self.classes = [" ".join(p.title() for p in names[i].split("_")) for i in sorted(names)]
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self._images = [base / "images" / f"{row[0]}.jpg" for row in rows]
        self._segs = [base / "annotations" / "trimaps" / f"{row[0]}.png" for row in rows]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = Image.open(self._images[index]).convert("RGB")
        made = {
            "category": lambda: self._labels[index],
            "binary-category": lambda: self._bin_labels[index],
            "segmentation": lambda: _loaded(self._segs[index]),
        }
        targets = [made[kind]() for kind in self._target_types]
        target: Any = None
        if targets:
            target = targets[0] if len(targets) == 1 else tuple(targets)
        return self._both(image, target)

    def __len__(self) -> int:
        return len(self._images)


class Food101(VisionDataset):
    """Dishes of 101 kinds.  Source: Bossard et al. 2014."""

    _url, _md5 = (
        "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
        "85eeb15f3717b99a5da872d97d918f87",
    )

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = chosen(split, "split", ("train", "test"))
        if download:
            download_and_extract_archive(self._url, self.root, md5=self._md5)
        base = self._folder / "food-101"
        if not (base / "images").is_dir():
            raise RuntimeError(_MISSING)
        facts = json.loads((base / "meta" / f"{split}.json").read_text())
        self.classes = sorted(facts)
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self._labels, self._image_files = [], []
        for name, files in facts.items():
            self._labels += [self.class_to_idx[name]] * len(files)
            self._image_files += [base / "images" / f"{file}.jpg" for file in files]
        self.loader = loader or (lambda path: Image.open(path).convert("RGB"))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._both(self.loader(self._image_files[index]), self._labels[index])

    def __len__(self) -> int:
        return len(self._image_files)

    def extra_repr(self) -> str:
        return f"split={self._split}"


class GTSRB(VisionDataset):
    """German traffic signs of 43 kinds.  Source: Stallkamp et al. 2012."""

    _url = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
    _files = {
        "train": (("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478"),),
        "test": (
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        ),
    }

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = chosen(split, "split", ("train", "test"))
        base = self._folder / "gtsrb"
        if download:
            for name, md5 in self._files[split]:
                download_and_extract_archive(self._url + name, base, md5=md5)
        folder = base / "GTSRB" / ("Training" if split == "train" else "Final_Test/Images")
        if not folder.is_dir():
            raise RuntimeError(_MISSING)
        if split == "train":
            self._samples = make_dataset(str(folder), extensions=(".ppm",))
        else:
            with open(base / "GT-final_test.csv", newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";", skipinitialspace=True))
            self._samples = [(str(folder / row["Filename"]), int(row["ClassId"])) for row in rows]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self._samples[index]
        return self._both(Image.open(path).convert("RGB"), target)

    def __len__(self) -> int:
        return len(self._samples)


class EuroSAT(ImageFolder):
    """Land seen from a satellite, of ten kinds.  Source: Helber et al. 2019."""

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Any = None,
    ) -> None:  # fmt: skip
        base = Path(os.path.expanduser(root)) / "eurosat"
        if download:
            download_and_extract_archive(
                "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                base, md5="c8fa014336c82ac7804f0398fcb19387",
            )  # fmt: skip
        if not (base / "2750").is_dir():
            raise RuntimeError(_MISSING)
        options = {} if loader is None else {"loader": loader}
        super().__init__(str(base / "2750"), transform, target_transform, **options)
        self.root = root


class ImageNet(ImageFolder):
    """ImageNet 2012 as unpacked folders `train/n01440764/*.JPEG`, `val/…`; names by `meta.bin`.

    The archives are not given to programs: they are fetched and unpacked by hand.
    """

    def __init__(self, root: Any, split: str = "train", **kwargs: Any) -> None:
        self.split = chosen(split, "split", ("train", "val"))
        root = os.path.expanduser(root)
        if not os.path.isdir(os.path.join(root, split)):
            raise RuntimeError(
                f"ImageNet: {os.path.join(root, split)} is no folder; the archives of"
                " image-net.org have to be unpacked there by hand, a folder for each class"
            )
        super().__init__(os.path.join(root, split), **kwargs)
        self.root = root
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        meta = os.path.join(root, "meta.bin")
        if os.path.isfile(meta):
            names, _ = rl.load(meta, weights_only=True)
            self.classes = [names[wnid] for wnid in self.wnids]
            self.class_to_idx = {
                name: number for number, names_ in enumerate(self.classes) for name in names_
            }

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
