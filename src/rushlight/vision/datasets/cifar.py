"""Small pictures in files of their own: CIFAR-10, CIFAR-100, SVHN, STL-10, SEMEION, USPS.

In: the files of the original publications.  A pickle from elsewhere may only hold plain values and
arrays of NumPy's.  Out: (image, class).  Level 14.
"""

from __future__ import annotations

import bz2
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.vision.datasets.transfer import (
    check_integrity,
    download_and_extract_archive,
    download_url,
)
from rushlight.vision.datasets.vision import VisionDataset, chosen
from rushlight.vision.pillow import Image

try:
    from scipy import io as scipy_io
except ImportError:
    scipy_io = None

_PLAIN = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"), ("_codecs", "encode"),
}  # fmt: skip


class _PlainUnpickler(pickle.Unpickler):
    """Refuses whatever could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}; refused")
        return super().find_class(module, name)


def _unpickled(path: Any) -> dict[str, Any]:
    with open(path, "rb") as file:
        return _PlainUnpickler(file, encoding="latin1").load()


class _Arrays(VisionDataset):
    """Base of datasets that are one array of pictures."""

    data: Any
    targets: Any

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = Image.fromarray(self.data[index]), self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)


class CIFAR10(_Arrays):
    """Pictures of 32 × 32 in ten classes.  Source: Krizhevsky 2009."""

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta", "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }  # fmt: skip

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        parts, self.targets = [], []
        for name, _ in self.train_list if train else self.test_list:
            entry = _unpickled(os.path.join(self.root, self.base_folder, name))
            parts.append(entry["data"])
            self.targets.extend(entry["labels"] if "labels" in entry else entry["fine_labels"])
        pixels = np.vstack(parts).reshape(-1, 3, 32, 32)
        self.data = np.ascontiguousarray(pixels.transpose((0, 2, 3, 1)))
        facts = _unpickled(os.path.join(self.root, self.base_folder, self.meta["filename"]))
        self.classes = facts[self.meta["key"]]
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        return all(
            check_integrity(os.path.join(self.root, self.base_folder, name), md5)
            for name, md5 in files
        )

    def download(self) -> None:
        """Fetch and unpack the files."""
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Pictures of 32 × 32 in a hundred classes.  Source: Krizhevsky 2009."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48",
    }  # fmt: skip


class SVHN(_Arrays):
    """House numbers of 32 × 32.  Needs SciPy for the files.  Source: Netzer et al. 2011."""

    split_list = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(
        self, root: Any, split: str = "train", transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = chosen(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = os.path.join(self.root, self.filename)
        if not check_integrity(path, self.file_md5):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        if scipy_io is None:
            raise ImportError("SVHN: the files are MATLAB's and need SciPy: pip install scipy")
        facts = scipy_io.loadmat(path)
        labels = facts["y"].astype(np.int64).squeeze()
        # The files write 10 for the digit 0.
        np.place(labels, labels == 10, 0)
        self.labels = labels
        self.data = np.transpose(facts["X"], (3, 2, 0, 1))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target: Any = int(self.labels[index])
        image: Any = Image.fromarray(np.ascontiguousarray(self.data[index].transpose(1, 2, 0)))
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def download(self) -> None:
        """Fetch the file."""
        download_url(self.url, self.root, self.filename, self.file_md5)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


class STL10(VisionDataset):
    """Pictures of 96 × 96, most without a class (-1).  Source: Coates et al. 2011."""

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self, root: Any, split: str = "train", folds: int | None = None, transform: Any = None,
        target_transform: Any = None, download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = chosen(split, "split", self.splits)
        if folds is not None and folds not in range(10):
            raise ValueError(
                f"Value for argument folds should be in the range [0, 10), but got {folds}."
            )
        self.folds = folds
        if download:
            download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )
        folder = Path(self.root) / self.base_folder
        if not (folder / "train_X.bin").is_file():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        images, labels = [], []
        for part in split.split("+"):
            pixels = np.fromfile(folder / f"{part}_X.bin", dtype=np.uint8).reshape(-1, 3, 96, 96)
            images.append(np.transpose(pixels, (0, 1, 3, 2)))
            if part == "unlabeled":
                labels.append(np.full(len(pixels), -1, dtype=np.int64))
            else:
                # The file counts classes from 1.
                known = np.fromfile(folder / f"{part}_y.bin", dtype=np.uint8).astype(np.int64)
                labels.append(known - 1)
        self.data, self.labels = np.concatenate(images), np.concatenate(labels)
        names = folder / "class_names.txt"
        self.classes = names.read_text().splitlines() if names.is_file() else None
        if folds is not None and "train" in split:
            lines = (folder / "fold_indices.txt").read_text().splitlines()
            chosen_rows = np.fromstring(lines[folds], dtype=np.int64, sep=" ")
            self.data, self.labels = self.data[chosen_rows], self.labels[chosen_rows]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target: Any = int(self.labels[index])
        image: Any = Image.fromarray(np.ascontiguousarray(self.data[index].transpose(1, 2, 0)))
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return self.data.shape[0]

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


class SEMEION(_Arrays):
    """Handwritten digits of 16 × 16.  Source: Buscema 1998."""

    url = "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data"
    filename = "semeion.data"
    md5_checksum = "cb545d371d2ce14ec121470795a77432"

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None, download: bool = True
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if download:
            download_url(self.url, self.root, self.filename, self.md5_checksum)
        path = os.path.join(self.root, self.filename)
        if not check_integrity(path, self.md5_checksum):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        table = np.loadtxt(path)
        self.data = (255 * table[:, :256].reshape(-1, 16, 16)).astype("uint8")
        self.labels = np.nonzero(table[:, 256:])[1]
        self.targets = [int(label) for label in self.labels]


class USPS(_Arrays):
    """Handwritten digits of 16 × 16 of the post.  Source: Hull 1994."""

    split_list = {
        "train": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "usps.bz2",
            "ec16c51db3855ca6c91edd34d0e9b197",
        ],
        "test": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "usps.t.bz2",
            "8ea070ee2aca1ac39742fdd1ef5ed118",
        ],
    }

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        url, filename, checksum = self.split_list["train" if train else "test"]
        path = os.path.join(self.root, filename)
        if download:
            download_url(url, self.root, filename, checksum)
        if not os.path.exists(path):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        with bz2.open(path, "rt") as file:
            rows = [line.split() for line in file]
        pixels = [[float(word.split(":")[-1]) for word in row[1:]] for row in rows]
        images = np.asarray(pixels, dtype=np.float32).reshape((-1, 16, 16))
        self.data = ((images + 1) / 2 * 255).astype(np.uint8)
        self.targets = [int(row[0]) - 1 for row in rows]
