"""Datasets whose samples the second version of the transforms understands.

In: a dataset of this package.  Out: one that is of the same class and gives masks, boxes and videos
as tensors that know what they are.  Level 14.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.vision import tv_tensors
from rushlight.vision.datasets.cifar import CIFAR10
from rushlight.vision.datasets.folder import DatasetFolder
from rushlight.vision.datasets.listed import Imagenette
from rushlight.vision.datasets.mnist import MNIST
from rushlight.vision.datasets.pictures import (
    GTSRB,
    Caltech101,
    Caltech256,
    CelebA,
    CocoCaptions,
    CocoDetection,
    ImageNet,
    OxfordIIITPet,
    VOCDetection,
    VOCSegmentation,
)
from rushlight.vision.datasets.scenes import Cityscapes, Kitti, SBDataset, WIDERFace
from rushlight.vision.datasets.video import HMDB51, UCF101, Kinetics
from rushlight.vision.datasets.vision import VisionDataset
from rushlight.vision.ops.boxes import box_convert
from rushlight.vision.pillow import Image, ImageDraw

VOC_CLASSES = (
    "__background__ aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse"
    " motorbike person pottedplant sheep sofa train tvmonitor"
).split()
KITTI_CLASSES = "Car Van Truck Pedestrian Person_sitting Cyclist Tram Misc DontCare".split()
# The numbers of things in Cityscapes are their class times this, plus a count.
CITYSCAPES_THINGS = 1000

Wrapper = Callable[[int, Any], Any]
_BOXES, _LABELS, _MASKS = "boxes", "labels", "masks"


def wrap_dataset_for_transforms_v2(dataset: Any, target_keys: Any = None) -> Any:
    """The dataset with samples for `transforms.v2`; it remains an instance of its class.

    target_keys: which entries of a dict of targets to give, "all", or None for the usual ones.
    Raises: TypeError for datasets that have no rule, ValueError for keys that are none.
    """
    named = isinstance(target_keys, Collection) and all(isinstance(k, str) for k in target_keys)
    if not (target_keys is None or named):
        raise ValueError(
            "`target_keys` can be None, 'all', or a collection of strings denoting the keys to be"
            f" returned, but got {target_keys}"
        )
    kind = type(dataset)
    if not isinstance(dataset, VisionDataset):
        raise TypeError(
            "This wrapper is meant for subclasses of `torchvision.datasets.VisionDataset`, but got"
            f" a '{kind.__name__}' instead; wrap its samples with tv_tensors in its __getitem__"
        )
    known = next((cls for cls in kind.__mro__ if cls in RULES), None)
    if known is None:
        raise TypeError(
            f"No wrapper exists for dataset class {kind.__name__}. Please wrap the output yourself."
        )
    if target_keys is not None and known not in DEFAULT_KEYS:
        raise ValueError(
            "`target_keys` is currently only supported for `CocoDetection`, `VOCDetection`,"
            f" `Kitti`, and `WIDERFace`, but got {known.__name__}."
        )
    return type(f"Wrapped{kind.__name__}", (_Wrapped, kind), {})(dataset, known, target_keys)


class _Wrapped:
    """Stands before the class of the dataset, whose constructor is not run again."""

    def __init__(self, dataset: Any, known: type, target_keys: Any) -> None:
        self._dataset = dataset = copy.copy(dataset)
        self._target_keys = target_keys
        rule = RULES[known]
        keys = _keys(known, target_keys) if known in DEFAULT_KEYS else None
        self._wrapper: Wrapper = rule(dataset) if keys is None else rule(dataset, keys)
        # The samples are wrapped first and transformed then, so the dataset itself transforms none.
        for name in ("transform", "target_transform", "transforms"):
            setattr(self, name, getattr(dataset, name))
            setattr(dataset, name, None)

    def __getattr__(self, name: str) -> Any:
        if name == "_dataset":
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, index: int) -> Any:
        sample = self._wrapper(index, self._dataset[index])
        return sample if self.transforms is None else self.transforms(*sample)

    def __len__(self) -> int:
        return len(self._dataset)

    def __reduce__(self) -> Any:
        dataset = copy.copy(self._dataset)
        for name in ("transform", "target_transform", "transforms"):
            setattr(dataset, name, getattr(self, name))
        return wrap_dataset_for_transforms_v2, (dataset, self._target_keys)


def _keys(known: type, target_keys: Any) -> set[str]:
    available = AVAILABLE_KEYS[known]
    if target_keys is None:
        return DEFAULT_KEYS[known]
    if target_keys == "all":
        return available
    unknown = set(target_keys) - available
    if unknown:
        raise ValueError(f"Target keys {sorted(unknown)} are not available")
    return set(target_keys)


def _refuse(what: str) -> None:
    raise RuntimeError(f"{what} is currently not supported by this wrapper.")


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """A list of dicts as a dict of lists."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row[name] for row in rows if name in row] for name in names}


def _boxes(values: Any, image: Any, given: str = "xyxy") -> tv_tensors.BoundingBoxes:
    """Corners of boxes on an image; given: how the numbers are meant."""
    found = rl.as_tensor(values)
    found = found if given == "xyxy" else box_convert(found, given, "xyxy")
    size = (image.height, image.width)
    return tv_tensors.BoundingBoxes(found, format="XYXY", canvas_size=size)


def _by_kind(target: Any, kinds: Any, change: Mapping[str, Callable[[Any], Any]]) -> Any:
    """Targets of several kinds, each changed in the way of its kind."""
    targets = target if isinstance(target, (tuple, list)) else [target]
    found = tuple(change[k](t) if k in change else t for k, t in zip(kinds, targets))
    return found[0] if len(found) == 1 else found


# ---- a rule for each kind of dataset: (dataset, keys) -> (index, sample) -> sample --------------


def _unchanged(dataset: Any) -> Wrapper:
    return lambda _, sample: sample


def _caltech101(dataset: Any) -> Wrapper:
    if "annotation" in dataset.target_type:
        _refuse("Caltech101 dataset with `target_type=['annotation', ...]`")
    return _unchanged(dataset)


def _segmentation(dataset: Any) -> Wrapper:
    return lambda _, sample: (sample[0], tv_tensors.Mask(sample[1]))


def _sbd(dataset: Any) -> Wrapper:
    if dataset.mode == "boundaries":
        _refuse("SBDataset with mode='boundaries'")
    return _segmentation(dataset)


def _clips(dataset: Any) -> Wrapper:
    if dataset.video_clips.output_format == "THWC":
        raise RuntimeError(
            f"{type(dataset).__name__} with `output_format='THWC'` is not supported by this"
            " wrapper, since it is not compatible with the transformations. Please use"
            " `output_format='TCHW'` instead."
        )
    return lambda _, sample: (tv_tensors.Video(sample[0]), *sample[1:])


def _coco(dataset: Any, keys: set[str]) -> Wrapper:
    def wrapper(index: int, sample: Any) -> Any:
        image, rows = sample
        number = dataset.ids[index]
        if not rows:
            return image, {"image_id": number}
        columns = _columns(rows)
        made: dict[str, Callable[[], Any]] = {
            "image_id": lambda: number,
            _BOXES: lambda: _boxes(columns["bbox"], image, "xywh"),
            _MASKS: lambda: tv_tensors.Mask(
                rl.stack([_coco_mask(part, image) for part in columns["segmentation"]])
            ),
            _LABELS: lambda: rl.tensor(columns["category_id"]),
        }
        return image, {key: made[key]() if key in made else columns[key] for key in sorted(keys)}

    return wrapper


def _coco_mask(segmentation: Any, image: Any) -> Any:
    """The mask (H, W) of polygons or of run lengths that are numbers."""
    height, width = image.height, image.width
    if isinstance(segmentation, list):
        drawn = Image.new("L", (width, height))
        for polygon in segmentation:
            ImageDraw.Draw(drawn).polygon(polygon, fill=1, outline=1)
        return rl.from_numpy(np.array(drawn))
    counts = segmentation["counts"]
    if isinstance(counts, str):
        _refuse("a compressed run-length mask of CocoDetection")
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return rl.from_numpy(np.repeat(values, counts).reshape(width, height).T.copy())


def _voc(dataset: Any, keys: set[str]) -> Wrapper:
    def wrapper(_: int, sample: Any) -> Any:
        image, target = sample
        columns = _columns(target["annotation"]["object"])
        found = dict(target) if "annotation" in keys else {}
        if _BOXES in keys:
            sides = ("xmin", "ymin", "xmax", "ymax")
            corners = [[int(box[side]) for side in sides] for box in columns["bndbox"]]
            found[_BOXES] = _boxes(corners, image)
        if _LABELS in keys:
            found[_LABELS] = rl.tensor([VOC_CLASSES.index(name) for name in columns["name"]])
        return image, found

    return wrapper


def _kitti(dataset: Any, keys: set[str]) -> Wrapper:
    def wrapper(_: int, sample: Any) -> Any:
        image, rows = sample
        if rows is None:
            return image, None
        columns = _columns(rows)
        found: dict[str, Any] = {key: columns[key] for key in sorted(keys - {_BOXES, _LABELS})}
        if _BOXES in keys:
            found[_BOXES] = _boxes(columns["bbox"], image)
        if _LABELS in keys:
            found[_LABELS] = rl.tensor([KITTI_CLASSES.index(name) for name in columns["type"]])
        return image, found

    return wrapper


def _wider(dataset: Any, keys: set[str]) -> Wrapper:
    def wrapper(_: int, sample: Any) -> Any:
        image, target = sample
        if target is None:
            return image, None
        found = {key: target[key] for key in sorted(keys)}
        if "bbox" in keys:
            found["bbox"] = _boxes(found["bbox"], image, "xywh")
        return image, found

    return wrapper


def _celeba(dataset: Any) -> Wrapper:
    if {"attr", "landmarks"} & set(dataset.target_type):
        _refuse("`CelebA` dataset with `target_type=['attr', 'landmarks', ...]`")

    def wrapper(_: int, sample: Any) -> Any:
        image, target = sample
        change = {"bbox": lambda box: _boxes(box[None], image, "xywh")}
        return image, _by_kind(target, dataset.target_type, change)

    return wrapper


def _pets(dataset: Any) -> Wrapper:
    def wrapper(_: int, sample: Any) -> Any:
        image, target = sample
        change = {"segmentation": tv_tensors.Mask}
        kinds = dataset._target_types
        return image, None if target is None else _by_kind(target, kinds, change)

    return wrapper


def _cityscapes(dataset: Any) -> Wrapper:
    if {"polygon", "color"} & set(dataset.target_type):
        _refuse("`Cityscapes` dataset with `target_type=['polygon', 'color', ...]`")
    change: dict[str, Callable[[Any], Any]] = {"instance": _things, "semantic": tv_tensors.Mask}
    return lambda _, sample: (sample[0], _by_kind(sample[1], dataset.target_type, change))


def _things(picture: Any) -> dict[str, Any]:
    """A mask and a class for each number in a picture of instances."""
    numbers = rl.Tensor.detach(tv_tensors.Mask(picture)).as_subclass(rl.Tensor)
    each = rl.unique(numbers)
    masks = rl.stack([numbers == number for number in each])
    labels = rl.where(each >= CITYSCAPES_THINGS, each // CITYSCAPES_THINGS, each)
    return {_MASKS: tv_tensors.Mask(masks), _LABELS: labels}


RULES: dict[type, Callable[..., Wrapper]] = {
    **dict.fromkeys((Caltech256, CIFAR10, ImageNet, MNIST, GTSRB, DatasetFolder), _unchanged),
    **dict.fromkeys((Imagenette, CocoCaptions), _unchanged),
    **dict.fromkeys((HMDB51, Kinetics, UCF101), _clips),
    Caltech101: _caltech101,
    VOCSegmentation: _segmentation,
    SBDataset: _sbd,
    CocoDetection: _coco,
    VOCDetection: _voc,
    Kitti: _kitti,
    WIDERFace: _wider,
    CelebA: _celeba,
    OxfordIIITPet: _pets,
    Cityscapes: _cityscapes,
}
_FACES = {"bbox", "blur", "expression", "illumination", "occlusion", "pose", "invalid"}
_OBJECTS = {"type", "truncated", "occluded", "alpha", "bbox", "dimensions", "location"}
_PARTS = {"segmentation", "area", "iscrowd", "image_id", "bbox", "category_id"}
AVAILABLE_KEYS: dict[type, set[str]] = {
    CocoDetection: _PARTS | {_BOXES, _MASKS, _LABELS},
    VOCDetection: {"annotation", _BOXES, _LABELS},
    Kitti: _OBJECTS | {"rotation_y", _BOXES, _LABELS},
    WIDERFace: _FACES,
}
DEFAULT_KEYS: dict[type, set[str]] = {
    CocoDetection: {"image_id", _BOXES, _LABELS},
    VOCDetection: {_BOXES, _LABELS},
    Kitti: {_BOXES, _LABELS},
    WIDERFace: _FACES,
}
