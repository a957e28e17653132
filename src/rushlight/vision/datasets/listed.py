"""Datasets that are lists: the path of each picture and what it is.

In: folders and lists of files as their publications have them.  Out: (image, target), the image
read by `loader`.  A dataset here says where its files are and how they are listed; the rest is
shared.  Level 14.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from rushlight.vision.datasets.folder import ImageFolder, default_loader
from rushlight.vision.datasets.transfer import download_and_extract_archive
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.pillow import Image

try:
    from scipy import io as scipy_io
except ImportError:
    scipy_io = None

NOT_FOUND = "Dataset not found. You can use download=True to download it"
Sample = tuple[Any, Any]


def inside(folder: Path, name: str) -> str:
    """The path of a file that a list names.  Raises: ValueError for one outside of the folder."""
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ValueError(f"{name!r} lies outside of {folder}; refused")
    return str(path)


def loaded(path: Any) -> Any:
    """The picture in its own mode, read at once: nothing stays open."""
    with Image.open(path) as image:
        image.load()
        return image


def lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty.  Raises: RuntimeError where it is missing."""
    if not path.is_file():
        raise RuntimeError(f"{NOT_FOUND}; {path} is missing")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def numbered(names: Iterable[str]) -> dict[str, int]:
    """A number for each name, in their order."""
    return {name: number for number, name in enumerate(names)}


class Listed(VisionDataset):
    """Pictures and targets that a subclass lists in `self.samples`."""

    url: str | None = None
    md5: str | None = None
    by_hand = "its files have to be put there by hand"

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Callable[[Any], Any] = default_loader,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        if download:
            self.download()
        self.samples: list[Sample] = list(self.listing())

    def listing(self) -> Iterable[Sample]:
        """(path, target) of each picture."""
        raise NotImplementedError

    def download(self) -> None:
        """Fetch and unpack the files.  Raises: RuntimeError where no server gives them."""
        if self.url is None:
            raise RuntimeError(f"{type(self).__name__}: {self.by_hand}, below {self.root}")
        download_and_extract_archive(self.url, self.root, self.unpacked(), md5=self.md5)

    def unpacked(self) -> Any:
        """Where the archive is unpacked."""
        return self.root

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._both(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class Split(Listed):
    """A list for each split of `splits`."""

    splits: tuple[str, ...] = ("train", "val", "test")

    def __init__(self, root: Any, split: str = "train", **options: Any) -> None:
        self.split = chosen(split, "split", self.splits)
        super().__init__(root, **options)

    def extra_repr(self) -> str:
        return f"split={self.split}"


class DTD(Split):
    """Textures in 47 classes, split ten ways.  Source: Cimpoi et al. 2014."""

    url = "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz"
    md5 = "fff73e5086ae6bdbea199a49dfb8a4c1"

    def __init__(
        self, root: Any, split: str = "train", partition: int = 1, transform: Any = None,
        target_transform: Any = None, download: bool = False, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        if not isinstance(partition, int) or not 1 <= partition <= 10:
            raise ValueError(
                "Parameter 'partition' should be an integer with `1 <= partition <= 10`, but got"
                f" {partition} instead"
            )
        self._partition = partition
        super().__init__(
            root, split, transform=transform, target_transform=target_transform,
            download=download, loader=loader,
        )  # fmt: skip

    def unpacked(self) -> Any:
        return self._folder / "dtd"

    def listing(self) -> Iterable[Sample]:
        base = self._folder / "dtd" / "dtd"
        names = lines(base / "labels" / f"{self.split}{self._partition}.txt")
        self.classes = sorted({name.split("/")[0] for name in names})
        self.class_to_idx = numbered(self.classes)
        for name in names:
            yield inside(base / "images", name), self.class_to_idx[name.split("/")[0]]

    def extra_repr(self) -> str:
        return f"split={self.split}, partition={self._partition}"


class FGVCAircraft(Split):
    """Aircraft by variant, family or manufacturer.  Source: Maji et al. 2013."""

    url = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
    splits = ("train", "val", "trainval", "test")
    _levels = {"variant": "variants", "family": "families", "manufacturer": "manufacturers"}

    def __init__(
        self, root: Any, split: str = "trainval", annotation_level: str = "variant",
        transform: Any = None, target_transform: Any = None, download: bool = False,
        loader: Any = default_loader,
    ) -> None:  # fmt: skip
        self._level = chosen(annotation_level, "annotation_level", tuple(self._levels))
        super().__init__(
            root, split, transform=transform, target_transform=target_transform,
            download=download, loader=loader,
        )  # fmt: skip

    def listing(self) -> Iterable[Sample]:
        data = self._folder / "fgvc-aircraft-2013b" / "data"
        self.classes = lines(data / f"{self._levels[self._level]}.txt")
        self.class_to_idx = numbered(self.classes)
        for line in lines(data / f"images_{self._level}_{self.split}.txt"):
            name, _, label = line.strip().partition(" ")
            yield inside(data / "images", f"{name}.jpg"), self.class_to_idx[label]


class SUN397(Listed):
    """Scenes in 397 classes.  Source: Xiao et al. 2010."""

    url = "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz"
    md5 = "8ca2778205c41d23104230ba66911c7a"

    def listing(self) -> Iterable[Sample]:
        base = self._folder / "SUN397"
        # The list's lines begin with a letter's folder: /a/abbey.
        self.classes = [line.strip()[3:] for line in lines(base / "ClassName.txt")]
        self.class_to_idx = numbered(self.classes)
        for path in sorted(base.rglob("sun_*.jpg")):
            yield path, self.class_to_idx["/".join(path.relative_to(base).parts[1:-1])]


class Country211(ImageFolder):
    """Photographs by the country they were taken in.  Source: Radford et al. 2021."""

    url = "https://openaipublic.azureedge.net/clip/data/country211.tgz"
    md5 = "84988d7644798601126c29e9877aab6a"
    base, splits = "country211", ("train", "valid", "test")

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        self._split = chosen(split, "split", self.splits)
        folder = Path(os.path.expanduser(root))
        if download:
            download_and_extract_archive(self.url, folder, md5=self.md5)
        if not (folder / self.base).is_dir():
            raise RuntimeError(NOT_FOUND)
        super().__init__(str(folder / self.base / split), transform, target_transform, loader)
        self.root = str(folder)


class RenderedSST2(Country211):
    """Sentences as pictures, negative or positive.  Source: Radford et al. 2021."""

    url = "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz"
    md5 = "2384d08e9dcfa4bd55b324e610496ee5"
    base, splits = "rendered-sst2", ("train", "val", "test")

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        chosen(split, "split", self.splits)
        # On disk the validation split has another name.
        self.splits = ("train", "valid", "test")
        name = "valid" if split == "val" else split
        super().__init__(root, name, transform, target_transform, download, loader)
        self._split = split


class CLEVRClassification(Split):
    """Scenes of simple bodies and how many there are.  Source: Johnson et al. 2017."""

    url = "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip"
    md5 = "b11922020e72d0cd9154779b2d3d07d2"

    def unpacked(self) -> Any:
        return self._folder / "clevr"

    def listing(self) -> Iterable[Sample]:
        base = self._folder / "clevr" / "CLEVR_v1.0"
        files = sorted((base / "images" / self.split).glob("*"))
        if not files:
            raise RuntimeError(NOT_FOUND)
        counts: dict[str, int] = {}
        if self.split != "test":
            text = (base / "scenes" / f"CLEVR_{self.split}_scenes.json").read_text("utf-8")
            for scene in json.loads(text)["scenes"]:
                counts[scene["image_filename"]] = len(scene["objects"])
        for path in files:
            yield str(path), counts[path.name] if counts else None


class StanfordCars(Split):
    """Cars in 196 classes; the notes need SciPy.  Source: Krause et al. 2013."""

    splits = ("train", "test")
    by_hand = "its first server is gone: unpack cars_train, cars_test and devkit into stanford_cars"

    def listing(self) -> Iterable[Sample]:
        base = self._folder / "stanford_cars"
        training = self.split == "train"
        notes = base / (
            "devkit/cars_train_annos.mat" if training else "cars_test_annos_withlabels.mat"
        )
        if not notes.is_file():
            raise RuntimeError(NOT_FOUND)
        table = matlab(notes)["annotations"]
        names = matlab(base / "devkit" / "cars_meta.mat")["class_names"]
        self.classes = names.tolist()
        self.class_to_idx = numbered(self.classes)
        for row in table:
            yield inside(base / f"cars_{self.split}", str(row["fname"])), int(row["class"]) - 1

    def extra_repr(self) -> str:
        return ""


def matlab(path: Path) -> Any:
    """The arrays of a MATLAB file.  Raises: ImportError without SciPy."""
    if scipy_io is None:
        raise ImportError(f"{path.name} is a MATLAB file: reading it needs SciPy; install scipy")
    return scipy_io.loadmat(path, squeeze_me=True)


class Places365(Listed):
    """Places in 365 classes.  Source: Zhou et al. 2017."""

    splits = ("train-standard", "train-challenge", "val", "test")

    def __init__(
        self, root: Any, split: str = "train-standard", small: bool = False,
        download: bool = False, transform: Any = None, target_transform: Any = None,
        loader: Any = default_loader,
    ) -> None:  # fmt: skip
        self.split = chosen(split, "split", self.splits)
        self.small = small
        super().__init__(root, transform, target_transform, download, loader)
        self.imgs = self.samples
        self.targets = [target for _, target in self.samples]

    by_hand = "its archives (filelist_places365, train_256 …) have to be unpacked by hand"

    @property
    def images_dir(self) -> str:
        """The folder of the split's pictures."""
        size = "256" if self.small else "large"
        kind = "challenge" if "challenge" in self.split else "standard"
        train = self.split.startswith("train")
        return os.path.join(self.root, f"data_{size}_{kind}" if train else f"{self.split}_{size}")

    def listing(self) -> Iterable[Sample]:
        table = [line.split() for line in lines(self._folder / "categories_places365.txt")]
        self.class_to_idx = {name: int(number) for name, number in table}
        self.classes = sorted(self.class_to_idx)
        name = "places365_" + self.split.replace("-", "_") + ".txt"
        for line in lines(self._folder / name):
            path, *label = line.split()
            yield (
                inside(Path(self.images_dir), path.lstrip("/")),
                int(label[0]) if label else None,
            )

    def extra_repr(self) -> str:
        return f"Split: {self.split}\nSmall: {self.small}"


class Imagenette(Split):
    """Ten easy classes of ImageNet."""

    splits = ("train", "val")
    _archives = {
        "full": ("imagenette2.tgz", "fe2fc210e6bb7c5664d602c3cd71e612"),
        "320px": ("imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3"),
        "160px": ("imagenette2-160.tgz", "e793b78cc4c9e9a4ccc0c1155377a412"),
    }
    _names = {
        "n01440764": ("tench", "Tinca tinca"), "n02102040": ("English springer",),
        "n02979186": ("cassette player",), "n03000684": ("chain saw", "chainsaw"),
        "n03028079": ("church", "church building"), "n03394916": ("French horn", "horn"),
        "n03417042": ("garbage truck", "dustcart"),
        "n03425413": ("gas pump", "gasoline pump", "petrol pump", "island dispenser"),
        "n03445777": ("golf ball",), "n03888257": ("parachute", "chute"),
    }  # fmt: skip

    def __init__(
        self, root: Any, split: str = "train", size: str = "full", download: bool = False,
        transform: Any = None, target_transform: Any = None, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        name, self.md5 = self._archives[chosen(size, "size", tuple(self._archives))]
        self.url = "https://s3.amazonaws.com/fast-ai-imageclas/" + name
        self._base = name.removesuffix(".tgz")
        super().__init__(
            root, split, transform=transform, target_transform=target_transform,
            download=download, loader=loader,
        )  # fmt: skip

    def listing(self) -> Iterable[Sample]:
        folder = self._folder / self._base / self.split
        if not folder.is_dir():
            raise RuntimeError(NOT_FOUND)
        self.wnids = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        self.wnid_to_idx = numbered(self.wnids)
        self.classes = [self._names[wnid] for wnid in self.wnids]
        self.class_to_idx = {
            name: number for number, names in enumerate(self.classes) for name in names
        }
        for wnid in self.wnids:
            for path in sorted((folder / wnid).rglob("*")):
                if path.suffix.lower() == ".jpeg":
                    yield str(path), self.wnid_to_idx[wnid]


class Omniglot(Listed):
    """Letters of fifty alphabets, each drawn by twenty people.  Source: Lake et al. 2015."""

    _md5 = {
        "images_background": "68d2efa1b9178cc56df9314c21c6e718",
        "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    }

    def __init__(
        self, root: Any, background: bool = True, transform: Any = None,
        target_transform: Any = None, download: bool = False, loader: Any = None,
    ) -> None:  # fmt: skip
        self.background = background
        self._part = "images_background" if background else "images_evaluation"
        prefix = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
        self.url, self.md5 = f"{prefix}{self._part}.zip", self._md5[self._part]
        folder = os.path.join(root, "omniglot-py")
        super().__init__(folder, transform, target_transform, download, loader or _gray)

    def listing(self) -> Iterable[Sample]:
        base = self._folder / self._part
        if not base.is_dir():
            raise RuntimeError(NOT_FOUND)
        letters = sorted(p.relative_to(base) for p in base.glob("*/*") if p.is_dir())
        for number, letter in enumerate(letters):
            for path in sorted((base / letter).glob("*.png")):
                yield str(path), number


def _gray(path: Any) -> Any:
    return loaded(path).convert("L")


class SBU(Listed):
    """Photographs and their captions.  Source: Ordonez et al. 2011."""

    url = "https://www.cs.rice.edu/~vo9/sbucaptions/SBUCaptionedPhotoDataset.tar.gz"
    md5 = "9aec147b3488753cf758b4d493422285"

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None,
        download: bool = True, loader: Any = default_loader,
    ) -> None:  # fmt: skip
        super().__init__(root, transform, target_transform, download, loader)
        self.photos = [os.path.basename(path) for path, _ in self.samples]
        self.captions = [caption for _, caption in self.samples]

    def listing(self) -> Iterable[Sample]:
        base = self._folder / "dataset"
        photos = lines(base / "SBU_captioned_photo_dataset_urls.txt")
        captions = lines(base / "SBU_captioned_photo_dataset_captions.txt")
        for photo, caption in zip(photos, captions):
            path = inside(base, os.path.basename(photo.strip()))
            if os.path.exists(path):
                yield path, caption.rstrip()


class Flickr30k(Listed):
    """Photographs and five sentences about each.  Source: Young et al. 2014."""

    def __init__(
        self, root: Any, ann_file: str, transform: Any = None, target_transform: Any = None,
        loader: Any = default_loader,
    ) -> None:  # fmt: skip
        self.ann_file = os.path.expanduser(ann_file)
        super().__init__(root, transform, target_transform, loader=loader)
        self.ids = [os.path.basename(path) for path, _ in self.samples]

    def listing(self) -> Iterable[Sample]:
        sentences: dict[str, list[str]] = {}
        for line in lines(Path(self.ann_file)):
            name, caption = line.strip().split("\t")
            # "photo.jpg#0": the number of the sentence follows the name.
            sentences.setdefault(name[:-2], []).append(caption)
        for name in sorted(sentences):
            yield inside(self._folder, name), sentences[name]


class Flickr8k(Flickr30k):
    """Photographs and five sentences about each, of a page of HTML.  Source: Hodosh et al. 2013."""

    def listing(self) -> Iterable[Sample]:
        sentences: dict[str, list[str]] = {}
        page = _Captions(self._folder, sentences)
        page.feed(Path(self.ann_file).read_text(encoding="utf-8"))
        yield from sentences.items()


class _Captions(HTMLParser):
    """Reads a table of pages: a link to each photograph, then a list of sentences."""

    def __init__(self, folder: Path, sentences: dict[str, list[str]]) -> None:
        super().__init__()
        self.folder = folder
        self.sentences = sentences
        self.in_table = False
        self.tag = ""
        self.photo: str | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tag = tag
        self.in_table |= tag == "table"

    def handle_endtag(self, tag: str) -> None:
        self.tag = ""
        self.in_table &= tag != "table"

    def handle_data(self, data: str) -> None:
        if not self.in_table or not data.strip():
            return
        if data == "Image Not Found":
            self.photo = None
        elif self.tag == "a":
            # The page of a photograph ends in its number, and the file begins with it.
            number = data.split("/")[-2]
            files = sorted(self.folder.glob(glob.escape(number) + "_*.jpg"))
            self.photo = str(files[0]) if files else None
            if self.photo is not None:
                self.sentences[self.photo] = []
        elif self.tag == "li" and self.photo is not None:
            self.sentences[self.photo].append(data.strip())
