"""The MNIST family: MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST.

In: the files of the original publications (IDX format, maybe gzipped).  Out: (28 × 28 image in
gray, class).  Level 14.
"""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.datasets.transfer import (
    DownloadError,
    download_and_extract_archive,
    extract_archive,
)
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.pillow import Image

_IDX_TYPES = {
    8: np.uint8, 9: np.int8, 11: np.int16, 12: np.int32, 13: np.float32, 14: np.float64,
}  # fmt: skip


def read_sn3_pascalvincent_tensor(path: Any, strict: bool = True) -> Tensor:
    """The array of an IDX file.  Raises: ValueError for files that are none or are cut off."""
    data = Path(path).read_bytes()
    if str(path).endswith(".gz"):
        data = gzip.decompress(data)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise ValueError(f"{path}: is no IDX file")
    rank = data[3]
    if len(data) < 4 + 4 * rank:
        raise ValueError(f"{path}: ends within its header")
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    kind = np.dtype(_IDX_TYPES[data[2]]).newbyteorder(">")
    flat = np.frombuffer(data, dtype=kind, offset=4 + 4 * rank)
    count = int(np.prod(shape, dtype=np.int64))
    if (strict and flat.size != count) or flat.size < count:
        raise ValueError(f"{path}: holds {flat.size} numbers; its header {shape} says {count}")
    return rl.from_numpy(flat[:count].astype(_IDX_TYPES[data[2]]).reshape(shape))


def read_label_file(path: Any) -> Tensor:
    """Labels as int64."""
    labels = read_sn3_pascalvincent_tensor(path, strict=False)
    if labels.dtype != rl.uint8 or labels.ndim != 1:
        raise ValueError(f"{path}: holds no labels")
    return labels.long()


def read_image_file(path: Any) -> Tensor:
    """Images (N, H, W) as bytes."""
    images = read_sn3_pascalvincent_tensor(path, strict=False)
    if images.dtype != rl.uint8 or images.ndim != 3:
        raise ValueError(f"{path}: holds no images")
    return images


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 for training, 10,000 for testing.  Source: LeCun et al. 1998."""

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/",
    ]  # fmt: skip
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [
        f"{i} - {word}"
        for i, word in enumerate(
            "zero one two three four five six seven eight nine".split()
        )
    ]  # fmt: skip

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data, self.targets = self._load_data()

    def _load_data(self) -> tuple[Tensor, Tensor]:
        kind = "train" if self.train else "t10k"
        images = read_image_file(self._existing(f"{kind}-images-idx3-ubyte"))
        return images, read_label_file(self._existing(f"{kind}-labels-idx1-ubyte"))

    def _existing(self, name: str) -> str:
        path = os.path.join(self.raw_folder, name)
        return path if os.path.isfile(path) else path + ".gz"

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target: Any = int(self.targets[index])
        image: Any = Image.fromarray(self.data[index].numpy())
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    @property
    def raw_folder(self) -> str:
        """Where the files are."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: number for number, name in enumerate(self.classes)}

    def _check_exists(self) -> bool:
        return all(
            os.path.isfile(self._existing(os.path.splitext(os.path.basename(name))[0]))
            for name, _ in self.resources
        )

    def download(self) -> None:
        """Fetch the files, from the first mirror that answers.  Raises: RuntimeError for none."""
        if self._check_exists():
            return
        for name, md5 in self.resources:
            errors = []
            for mirror in self.mirrors:
                try:
                    download_and_extract_archive(
                        mirror + name, self.raw_folder, filename=name, md5=md5
                    )
                except DownloadError as error:
                    errors.append(str(error))
                    continue
                break
            else:
                raise RuntimeError(f"Error downloading {name}:\n" + "\n".join(errors))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Pictures of clothes.  Source: Xiao et al. 2017."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
        "Bag", "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Cursive Japanese characters.  Source: Clanuwat et al. 2018."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits, in six splits.  Source: Cohen et al. 2017.

    The images lie as in the file: turned and mirrored.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _digits = [str(i) for i in range(10)]
    _upper = [chr(65 + i) for i in range(26)]
    _lower = [chr(97 + i) for i in range(26)]
    # Small letters that look like their capitals.
    _merged = set("cijklmopsuvwxyz")
    _unmerged = sorted({*_digits, *_upper, *_lower} - _merged)
    classes_split_dict = {
        "byclass": sorted([*_digits, *_upper, *_lower]), "bymerge": _unmerged,
        "balanced": _unmerged, "letters": ["N/A", *_lower], "digits": _digits, "mnist": _digits,
    }  # fmt: skip

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        self.split = chosen(split, "split", self.splits)
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    def _stem(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images = read_image_file(self._existing(f"{self._stem()}-images-idx3-ubyte"))
        return images, read_label_file(self._existing(f"{self._stem()}-labels-idx1-ubyte"))

    def _check_exists(self) -> bool:
        return all(
            os.path.isfile(self._existing(f"{self._stem()}-{kind}-ubyte"))
            for kind in ("images-idx3", "labels-idx1")
        )

    def download(self) -> None:
        """Fetch and unpack the files."""
        if self._check_exists():
            return
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        folder = os.path.join(self.raw_folder, "gzip")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".gz"):
                extract_archive(
                    os.path.join(folder, name), os.path.join(self.raw_folder, name[:-3])
                )


class QMNIST(MNIST):
    """MNIST's digits with where they come from, and 50,000 more for testing.

    compat: targets are classes; otherwise all eight facts.  Source: Yadav and Bottou 2019.
    """

    subsets = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    mirrors = ["https://raw.githubusercontent.com/facebookresearch/qmnist/master/"]
    files = {
        "train": [
            ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            ("xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            ("xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self, root: Any, what: str | None = None, compat: bool = True, train: bool = True,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        what = ("train" if train else "test") if what is None else what
        self.what = chosen(what, "what", tuple(self.subsets))
        self.compat = compat
        self.resources = self.files[self.subsets[what]]
        super().__init__(root, train, **kwargs)

    def _load_data(self) -> tuple[Tensor, Tensor]:
        stems = [os.path.splitext(name)[0] for name, _ in self.resources]
        data = read_sn3_pascalvincent_tensor(self._existing(stems[0]))
        targets = read_sn3_pascalvincent_tensor(self._existing(stems[1])).long()
        if data.ndim != 3 or targets.ndim != 2:
            raise ValueError(f"{self.raw_folder}: the files hold no images and facts")
        if self.what == "test10k":
            data, targets = data[:10000].clone(), targets[:10000].clone()
        if self.what == "test50k":
            data, targets = data[10000:].clone(), targets[10000:].clone()
        return data, targets

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = Image.fromarray(self.data[index].numpy())
        target: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.compat:
            target = int(target[0])
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
