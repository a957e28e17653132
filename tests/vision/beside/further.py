"""The same for datasets that compare sums of their archives, or need packages to be read.

In: an empty folder.  Out: what the publication has, in small.  `CASES`: for each dataset who
plants it, how it is made, and the packages that it needs.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.vision.beside.trees import _picture, _text

SCIPY = ("scipy.io",)


def _mat(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    importlib.import_module("scipy.io").savemat(path, values)


def _rng() -> np.random.Generator:
    return np.random.default_rng(3)


def _cifar100(root: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        data = _rng().integers(0, 255, (4, 3072)).astype(np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "fine_labels": [3, 1, 2, 0]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list("abcd")}))


def _caltech101(root: Path) -> None:
    base = root / "caltech101"
    for name in ("BACKGROUND_Google", "accordion", "Faces"):
        for number in (1, 2):
            _picture(base / f"101_ObjectCategories/{name}/image_{number:04d}.jpg")
    for name in ("accordion", "Faces_2"):
        for number in (1, 2):
            points = _rng().normal(size=(2, 3 + number))
            _mat(base / f"Annotations/{name}/annotation_{number:04d}.mat", obj_contour=points)


def _caltech256(root: Path) -> None:
    for place, name in enumerate(("001.ak47", "002.flag")):
        for number in (1, 2):
            path = root / f"caltech256/256_ObjectCategories/{name}/{place + 1:03d}_{number:04d}.jpg"
            _picture(path, "L" if number == 2 else "RGB")


def _files(root: Path) -> None:
    for name in ("a/1.txt", "a/deep/2.txt", "b/3.txt", "b/note.md"):
        _text(root / name, name)


def _eurosat(root: Path) -> None:
    for name in ("Forest/Forest_1.jpg", "River/River_1.jpg"):
        _picture(root / "eurosat/2750" / name)


def _flowers(root: Path) -> None:
    base = root / "flowers-102"
    for number in range(1, 5):
        _picture(base / f"jpg/image_{number:05d}.jpg")
    _mat(base / "imagelabels.mat", labels=np.array([[2, 1, 3, 2]]))
    _mat(base / "setid.mat", trnid=[[1, 3]], valid=[[2, 4]], tstid=[[4, 1]])


def _png_flow(path: Path) -> None:
    """Three channels of 16 bits, which Pillow does not write."""
    zlib, struct = importlib.import_module("zlib"), importlib.import_module("struct")
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = _rng().integers(0, 65536, (7, 9, 3)).astype(">u2")
    pixels[..., 2] = pixels[..., 2] % 2
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 9, 7, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def _hd1k(root: Path) -> None:
    for number in range(3):
        name = f"000000_{number:04d}.png"
        _png_flow(root / "hd1k/hd1k_flow_gt/flow_occ" / name)
        _picture(root / "hd1k/hd1k_input/image_2" / name)


def _kitti_flow(root: Path) -> None:
    base = root / "KittiFlow/training"
    for number in (10, 11):
        _picture(base / f"image_2/000000_{number}.png")
    _png_flow(base / "flow_occ/000000_10.png")


def _imagenet(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("n01440764/a.JPEG", "n01443537/b.JPEG"):
            _picture(root / split / name)
    names = {"n01440764": ("tench", "Tinca"), "n01443537": ("goldfish",)}
    importlib.import_module("torch").save((names, list(names)), root / "meta.bin")


def _lsun(root: Path) -> None:
    lmdb = importlib.import_module("lmdb")
    for category in ("tower", "bridge"):
        database = lmdb.open(str(root / f"{category}_val_lmdb"), map_size=1 << 22)
        with database, database.begin(write=True) as transaction:
            for key in ("b", "a"):
                _picture(root / "one.png")
                transaction.put(key.encode(), (root / "one.png").read_bytes())


def _pcam(root: Path) -> None:
    h5py = importlib.import_module("h5py")
    (root / "pcam").mkdir()
    name = "pcam/camelyonpatch_level_2_split_train_{}.h5"
    with h5py.File(root / name.format("x"), "w") as file:
        file["x"] = _rng().integers(0, 256, (3, 9, 7, 3), "uint8")
    with h5py.File(root / name.format("y"), "w") as file:
        file["y"] = np.array([1, 0, 1], "uint8").reshape(3, 1, 1, 1)


def _phototour(root: Path) -> None:
    base = root / "liberty"
    base.mkdir()
    sheet = _rng().integers(0, 256, (128, 128), "uint8")
    Image.fromarray(sheet).save(base / "patches0000.bmp")
    _text(base / "info.txt", "0 0\n0 0\n1 0\n2 0\n")
    _text(base / "m50_100000_100000_0.txt", "0 0 0 1 0 0\n1 0 0 2 1 0\n")


def _places(root: Path) -> None:
    _text(root / "categories_places365.txt", "/a/abbey 0\n/b/bow 1\n")
    _text(root / "places365_val.txt", "one.jpg 1\ntwo.jpg 0\n")
    for name in ("one.jpg", "two.jpg"):
        _picture(root / "val_256" / name)


def _qmnist(root: Path) -> None:
    raw = root / "QMNIST/raw"
    raw.mkdir(parents=True)
    images = _rng().integers(0, 256, (4, 28, 28), "uint8")
    labels = _rng().integers(0, 10, (4, 8)).astype(">i4")
    for kind in ("train", "test"):
        head = bytes([0, 0, 8, 3]) + np.array([4, 28, 28], ">i4").tobytes()
        (raw / f"qmnist-{kind}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = bytes([0, 0, 12, 2]) + np.array([4, 8], ">i4").tobytes()
        (raw / f"qmnist-{kind}-labels-idx2-int").write_bytes(head + labels.tobytes())
        for name in ("images-idx3-ubyte", "labels-idx2-int"):
            path = raw / f"qmnist-{kind}-{name}"
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))


def _sbd(root: Path) -> None:
    for name in ("2008_1", "2008_2"):
        _picture(root / f"img/{name}.jpg")
        truth = {"Segmentation": _rng().integers(0, 21, (7, 9), "uint8")}
        _mat(root / f"cls/{name}.mat", GTcls=truth)
    _text(root / "train.txt", "2008_2\n2008_1\n")


def _sbu(root: Path) -> None:
    base = root / "dataset"
    for name in ("1_a.jpg", "2_b.jpg"):
        _picture(base / name)
    urls = "http://x.y/1/1_a.jpg\nhttp://x.y/3/3_c.jpg\nhttp://x.y/2/2_b.jpg\n"
    _text(base / "SBU_captioned_photo_dataset_urls.txt", urls)
    _text(base / "SBU_captioned_photo_dataset_captions.txt", "a dog \nnothing\ntwo cats\n")
    (root / "SBUCaptionedPhotoDataset.tar.gz").write_bytes(b"")


def _semeion(root: Path) -> None:
    rows = []
    for label in (3, 8):
        bits = _rng().integers(0, 2, 256)
        rows.append([*bits, *[int(place == label) for place in range(10)]])
    np.savetxt(root / "semeion.data", rows, fmt="%.4f")


def _cars(root: Path) -> None:
    base = root / "stanford_cars"
    for name in ("00001.jpg", "00002.jpg"):
        _picture(base / "cars_train" / name)
    kind = [("fname", "O"), ("class", "O")]
    notes = np.array([("00001.jpg", 2), ("00002.jpg", 1)], kind)
    _mat(base / "devkit/cars_train_annos.mat", annotations=notes)
    _mat(base / "devkit/cars_meta.mat", class_names=np.array(["Audi", "BMW"], object))


def _usps(root: Path) -> None:
    rows = [
        f"{label} " + " ".join(f"{place + 1}:{value:.4f}" for place, value in enumerate(values))
        for label, values in zip((7, 1), _rng().uniform(-1, 1, (2, 256)))
    ]
    (root / "usps.bz2").write_bytes(bz2.compress("\n".join(rows).encode()))


Case = tuple[Callable[[Path], None], Callable[[Any, Any], Any], tuple[str, ...]]
CASES: dict[str, Case] = {
    "CIFAR100": (_cifar100, lambda d, r: d.CIFAR100(r), ()),
    "Caltech101": (
        _caltech101, lambda d, r: d.Caltech101(r, ["category", "annotation"]), SCIPY,
    ),
    "Caltech256": (_caltech256, lambda d, r: d.Caltech256(r), ()),
    "DatasetFolder": (
        _files, lambda d, r: d.DatasetFolder(r, lambda path: Path(path).read_text(), (".txt",)), (),
    ),
    "EuroSAT": (_eurosat, lambda d, r: d.EuroSAT(r), ()),
    "Flowers102": (_flowers, lambda d, r: d.Flowers102(r, "val"), SCIPY),
    "HD1K": (_hd1k, lambda d, r: d.HD1K(r), ()),
    "ImageNet": (_imagenet, lambda d, r: d.ImageNet(r, "val"), ("torch",)),
    "KittiFlow": (_kitti_flow, lambda d, r: d.KittiFlow(r), ()),
    "LSUN": (_lsun, lambda d, r: d.LSUN(r, ["tower_val", "bridge_val"]), ("lmdb",)),
    "LSUNClass": (_lsun, lambda d, r: d.LSUNClass(f"{r}/tower_val_lmdb"), ("lmdb",)),
    "PCAM": (_pcam, lambda d, r: d.PCAM(r), ("h5py",)),
    "PhotoTour": (_phototour, lambda d, r: d.PhotoTour(r, "liberty", train=False), ()),
    "Places365": (_places, lambda d, r: d.Places365(r, "val", small=True), ()),
    "QMNIST": (_qmnist, lambda d, r: d.QMNIST(r, "test", compat=False), ()),
    "SBDataset": (_sbd, lambda d, r: d.SBDataset(r, mode="segmentation"), SCIPY),
    "SBU": (_sbu, lambda d, r: d.SBU(r, download=False), ()),
    "SEMEION": (_semeion, lambda d, r: d.SEMEION(r, download=False), ()),
    "StanfordCars": (_cars, lambda d, r: d.StanfordCars(r), SCIPY),
    "USPS": (_usps, lambda d, r: d.USPS(r), ()),
}  # fmt: skip
