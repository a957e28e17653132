"""Tiny folders as the datasets' publications have them, and a dataset on each.

In: an empty folder.  Out: pictures of a few pixels, lists and notes.  `CASES` names for each
dataset how it is made of a module of datasets and the folder: torchvision's or rushlight's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def _picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = RNG.integers(0, 65536 if mode == "I;16" else 256, shape)
    Image.fromarray(pixels.astype("uint16" if mode == "I;16" else "uint8")).save(path)


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _flo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flow = RNG.normal(size=(7, 9, 2)).astype("<f4")
    path.write_bytes(b"PIEH" + np.array([9, 7], "<i4").tobytes() + flow.tobytes())


def _pfm(path: Path, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = RNG.normal(size=(7, 9, channels)).astype("<f4")
    kind = b"PF" if channels == 3 else b"Pf"
    path.write_bytes(kind + b"\n9 7\n-1.0\n" + numbers.tobytes())


def _lists(root: Path) -> None:
    for name in ("banded/b_1.jpg", "banded/b_2.jpg", "dotted/d_1.jpg"):
        _picture(root / "dtd/dtd/images" / name)
    _text(root / "dtd/dtd/labels/train1.txt", "banded/b_2.jpg\ndotted/d_1.jpg\n")
    data = root / "fgvc-aircraft-2013b/data"
    for name in ("0001", "0002"):
        _picture(data / f"images/{name}.jpg")
    _text(data / "variants.txt", "707-320\nA 340\n")
    _text(data / "images_variant_trainval.txt", "0001 A 340\n0002 707-320\n")
    for name in ("a/abbey/sun_1.jpg", "b/bow/indoor/sun_2.jpg"):
        _picture(root / "SUN397" / name)
    _text(root / "SUN397/ClassName.txt", "/a/abbey\n/b/bow/indoor\n")
    for name in ("AD/1.jpg", "AE/2.jpg"):
        _picture(root / "country211/valid" / name)
    for name in ("negative/1.png", "positive/2.png"):
        _picture(root / "rendered-sst2/valid" / name)
    clevr = root / "clevr/CLEVR_v1.0"
    for i in range(2):
        _picture(clevr / f"images/train/CLEVR_train_{i}.png")
    scenes = [{"image_filename": f"CLEVR_train_{i}.png", "objects": [{}] * (i + 3)} for i in (0, 1)]
    _text(clevr / "scenes/CLEVR_train_scenes.json", json.dumps({"scenes": scenes}))
    for name in ("n01440764/a.JPEG", "n02979186/b.JPEG"):
        _picture(root / "imagenette2-160/train" / name)
    for name in ("Greek/character01/1_01.png", "Greek/character01/1_02.png"):
        _picture(root / "omniglot-py/images_background" / name, "L")
    _text(root / "flickr.token", "2.jpg#0\ta cat\n1.jpg#0\ta dog\n2.jpg#1\tone cat\n")
    for name in ("1.jpg", "2.jpg", "123_abc.jpg"):
        _picture(root / "flickr" / name)
    page = "<table><tr><td><a href='x'>http://www.flickr.com/photos/me/123/</a></td>"
    _text(
        root / "flickr8k.html", page + "<td><ul><li>a bird</li><li>red</li></ul></td></tr></table>"
    )


def _scenes(root: Path) -> None:
    city = root / "city"
    _picture(city / "leftImg8bit/train/bonn/bonn_0_leftImg8bit.png")
    _picture(city / "gtFine/train/bonn/bonn_0_gtFine_labelIds.png", "L")
    _picture(city / "gtFine/train/bonn/bonn_0_gtFine_instanceIds.png", "I;16")
    _text(city / "gtFine/train/bonn/bonn_0_gtFine_polygons.json", '{"objects": [1]}')
    faces = root / "widerface"
    _picture(faces / "WIDER_train/images/0--Parade/a.jpg")
    for split in ("val", "test"):
        (faces / f"WIDER_{split}").mkdir()
    row = " ".join(str(i) for i in range(10))
    _text(
        faces / "wider_face_split/wider_face_train_bbx_gt.txt",
        f"0--Parade/a.jpg\n2\n{row}\n{row}\n0--Parade/a.jpg\n0\n{'0 ' * 9}0\n",
    )
    _picture(root / "Kitti/raw/training/image_2/000000.png")
    _text(
        root / "Kitti/raw/training/label_2/000000.txt",
        "Car 0.00 1 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n",
    )
    (root / "MovingMNIST").mkdir()
    np.save(root / "MovingMNIST/mnist_test_seq.npy", RNG.integers(0, 256, (20, 3, 8, 8), "uint8"))
    species = root / "2021_train"
    for i, name in enumerate(("Animalia_A_B_C_D_E_one", "Animalia_A_B_C_F_G_two")):
        _picture(species / f"{i:05d}_{name}/1.jpg")
    for name in ("birds/crow", "frogs/toad"):
        _picture(root / "2017" / name / "1.jpg")


def _flows(root: Path) -> None:
    for scene in ("alley_1", "bamboo_2"):
        for i in range(3):
            _picture(root / f"Sintel/training/clean/{scene}/frame_{i}.png")
            _picture(root / f"Sintel/training/final_left/{scene}/frame_{i}.png")
            _picture(root / f"Sintel/training/final_right/{scene}/frame_{i}.png")
            for kind in ("disparities", "occlusions", "outofframe"):
                mode = "RGB" if kind == "disparities" else "L"
                _picture(root / f"Sintel/training/{kind}/{scene}/frame_{i}.png", mode)
            if i < 2:
                _flo(root / f"Sintel/training/flow/{scene}/frame_{i}.flo")
    for i in range(3):
        for k in (1, 2):
            _picture(root / f"FlyingChairs/data/{i}_img{k}.ppm")
        _flo(root / f"FlyingChairs/data/{i}_flow.flo")
    _text(root / "FlyingChairs/FlyingChairs_train_val.txt", "1\n2\n1\n")
    things = root / "FlyingThings3D"
    for i in range(3):
        _picture(things / f"frames_cleanpass/TRAIN/A/0000/left/{i}.png")
        for direction in ("into_future", "into_past"):
            _pfm(things / f"optical_flow/TRAIN/A/0000/{direction}/left/{i}.pfm", 3)


def _stereo(root: Path) -> None:
    for i in (0, 1):
        _picture(root / f"carla-highres/trainingF/s{i}/im{0}.png")
        _picture(root / f"carla-highres/trainingF/s{i}/im{1}.png")
        for side in (0, 1):
            _pfm(root / f"carla-highres/trainingF/s{i}/disp{side}GT.pfm")
            _picture(root / f"Kitti2012/training/colored_{side}/{i:06d}_10.png")
            _picture(root / f"Kitti2015/training/image_{2 + side}/{i:06d}_10.png")
            _picture(root / f"Kitti2015/training/disp_occ_{side}/{i:06d}_10.png", "I;16")
            _picture(root / f"ETH3D/two_view_training/s{i}/im{side}.png")
        _picture(root / f"Kitti2012/training/disp_noc/{i:06d}_10.png", "I;16")
        _pfm(root / f"ETH3D/two_view_training_gt/s{i}/disp0GT.pfm")
        _picture(root / f"ETH3D/two_view_training_gt/s{i}/mask0nocc.png", "L")
        for side in ("left", "right"):
            _picture(root / f"InStereo2k/train/s{i}/{side}.png")
            _picture(root / f"InStereo2k/train/s{i}/{side}_disp.png", "I;16")
            _picture(root / f"FallingThings/single/box/kitchen/{i}.{side}.jpg")
            _picture(root / f"FallingThings/single/box/kitchen/{i}.{side}.depth.png", "I;16")
            flying = root / "SceneFlow/FlyingThings3D"
            _picture(flying / f"frames_cleanpass/TRAIN/A/000{i}/{side}/6.png")
            _pfm(flying / f"disparity/TRAIN/A/000{i}/{side}/6.pfm")
            for part in ("shapenet", "reflective", "tree", "hole"):
                _picture(root / f"CREStereo/{part}/{i}_{side}.jpg")
                _picture(root / f"CREStereo/{part}/{i}_{side}.disp.png", "I;16")
    for i in (0, 1):
        for view in ("im0", "im1"):
            _picture(root / f"Middlebury2014/train/Piano{i}-perfect/{view}.png")
            _picture(root / f"Middlebury2014/test/Hoops{i}/{view}.png")
        for side in (0, 1):
            _pfm(root / f"Middlebury2014/train/Piano{i}-perfect/disp{side}.pfm")
    camera = {"camera_settings": [{"intrinsic_settings": {"fx": 768.2}}]}
    _text(root / "FallingThings/single/box/kitchen/_camera_settings.json", json.dumps(camera))


def plant(root: Path) -> None:
    """Write all the trees."""
    global RNG
    RNG = np.random.default_rng(0)
    _lists(root)
    _scenes(root)
    _flows(root)
    _stereo(root)


# How each dataset is made of a module of datasets and the folder.
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "DTD": lambda d, r: d.DTD(r),
    "FGVCAircraft": lambda d, r: d.FGVCAircraft(r),
    "SUN397": lambda d, r: d.SUN397(r),
    "Country211": lambda d, r: d.Country211(r, "valid"),
    "RenderedSST2": lambda d, r: d.RenderedSST2(r, "val"),
    "CLEVRClassification": lambda d, r: d.CLEVRClassification(r),
    "Imagenette": lambda d, r: d.Imagenette(r, size="160px"),
    "Omniglot": lambda d, r: d.Omniglot(r),
    "Flickr30k": lambda d, r: d.Flickr30k(f"{r}/flickr", f"{r}/flickr.token"),
    "Flickr8k": lambda d, r: d.Flickr8k(f"{r}/flickr", f"{r}/flickr8k.html"),
    "Cityscapes": lambda d, r: d.Cityscapes(f"{r}/city", target_type=["semantic", "polygon"]),
    "WIDERFace": lambda d, r: d.WIDERFace(r),
    "Kitti": lambda d, r: d.Kitti(r),
    "MovingMNIST": lambda d, r: d.MovingMNIST(r, "train"),
    "INaturalist": lambda d, r: d.INaturalist(r, target_type=["full", "class", "family"]),
    "INaturalist 2017": lambda d, r: d.INaturalist(r, "2017", "super"),
    "Sintel": lambda d, r: d.Sintel(r),
    "FlyingChairs": lambda d, r: d.FlyingChairs(r),
    "FlyingThings3D": lambda d, r: d.FlyingThings3D(r),
    "CarlaStereo": lambda d, r: d.CarlaStereo(r),
    "Kitti2012Stereo": lambda d, r: d.Kitti2012Stereo(r),
    "Kitti2015Stereo": lambda d, r: d.Kitti2015Stereo(r),
    "ETH3DStereo": lambda d, r: d.ETH3DStereo(r),
    "InStereo2k": lambda d, r: d.InStereo2k(r),
    "FallingThingsStereo": lambda d, r: d.FallingThingsStereo(r),
    "SceneFlowStereo": lambda d, r: d.SceneFlowStereo(r),
    "CREStereo": lambda d, r: d.CREStereo(r),
    "SintelStereo": lambda d, r: d.SintelStereo(r),
    "Middlebury2014Stereo": lambda d, r: d.Middlebury2014Stereo(r),
    "Middlebury2014Stereo test": lambda d, r: d.Middlebury2014Stereo(r, "test", None),
}


def plain(value: Any) -> Any:
    """A sample as arrays, numbers, text and tuples of them."""
    if isinstance(value, (tuple, list)):
        return tuple(plain(part) for part in value)
    if isinstance(value, dict):
        return tuple(sorted((key, plain(part)) for key, part in value.items()))
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    if isinstance(value, Image.Image):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        numbers = value.astype("float64")
        return (numbers.shape, tuple(np.round(numbers.ravel(), 3).tolist()))
    return value


def samples(datasets: Any, root: Any, name: str) -> Any:
    """How many samples a dataset has, and all of them in the order of their texts."""
    made = CASES[name](datasets, root)
    # Some of torchvision's take the order of the file system.
    return len(made), sorted((plain(made[i]) for i in range(len(made))), key=repr)
