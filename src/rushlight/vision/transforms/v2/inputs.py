"""Nests of inputs: flattening them, and asking what kinds are in them.

In: what a user hands to a transform: any nest of dicts, lists and tuples.  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.pillow import is_pil_image
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.functional import is_pure_tensor

Check = type | Callable[[Any], bool]


def flatten(nest: Any) -> list[Any]:
    """The leaves, in order."""
    if isinstance(nest, dict):
        return [leaf for value in nest.values() for leaf in flatten(value)]
    if isinstance(nest, (list, tuple)):
        return [leaf for value in nest for leaf in flatten(value)]
    return [nest]


def rebuild(nest: Any, leaves: Any) -> Any:
    """The same nest with other leaves; `leaves` is an iterator."""
    if isinstance(nest, dict):
        found = {key: rebuild(value, leaves) for key, value in nest.items()}
        return found if type(nest) is dict else _same_mapping(nest, found)
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*[rebuild(value, leaves) for value in nest])
    if isinstance(nest, (list, tuple)):
        return type(nest)([rebuild(value, leaves) for value in nest])
    return next(leaves)


def _same_mapping(nest: Any, found: dict[Any, Any]) -> Any:
    made = nest.copy()
    made.update(found)
    return made


def check_type(obj: Any, types_or_checks: Sequence[Check]) -> bool:
    """Whether the object is of one of the types, or passes one of the checks."""
    for check in types_or_checks:
        if isinstance(obj, check) if isinstance(check, type) else check(obj):
            return True
    return False


def has_any(flat_inputs: list[Any], *types_or_checks: Check) -> bool:
    """Whether any input is of one of the types."""
    return any(check_type(inpt, types_or_checks) for inpt in flat_inputs)


def has_all(flat_inputs: list[Any], *types_or_checks: Check) -> bool:
    """Whether each of the types occurs."""
    return all(any(check_type(inpt, (check,)) for inpt in flat_inputs) for check in types_or_checks)


def is_image_like(inpt: Any) -> bool:
    """An image or video of any form."""
    return (
        isinstance(inpt, (tv_tensors.Image, tv_tensors.Video))
        or is_pure_tensor(inpt)
        or is_pil_image(inpt)
    )


def query_chw(flat_inputs: list[Any]) -> tuple[int, int, int]:
    """(channels, height, width) of the images.  Raises: TypeError, ValueError."""
    found = {tuple(F.get_dimensions(inpt)) for inpt in flat_inputs if is_image_like(inpt)}
    if not found:
        raise TypeError("No image or video was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple CxHxW dimensions in the sample: {sorted(found)}")
    channels, height, width = found.pop()
    return channels, height, width


def query_size(flat_inputs: list[Any]) -> tuple[int, int]:
    """(height, width) of the images, masks, boxes and points.  Raises: TypeError, ValueError."""
    sized = (tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)
    found = {
        tuple(F.get_size(inpt))
        for inpt in flat_inputs
        if is_image_like(inpt) or isinstance(inpt, sized)
    }
    if not found:
        raise TypeError("No image, video, mask, bounding box of keypoint was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple HxW dimensions in the sample: {sorted(found)}")
    height, width = found.pop()
    return height, width


def get_bounding_boxes(flat_inputs: list[Any]) -> tv_tensors.BoundingBoxes:
    """The boxes.  Raises: ValueError where there are none."""
    for inpt in flat_inputs:
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            return inpt
    raise ValueError("No bounding boxes were found in the sample")


def get_keypoints(flat_inputs: list[Any]) -> tv_tensors.KeyPoints:
    """The points.  Raises: ValueError where there are none."""
    for inpt in flat_inputs:
        if isinstance(inpt, tv_tensors.KeyPoints):
            return inpt
    raise ValueError("No keypoints were found in the sample")


def find_labels(inputs: Any) -> Any:
    """The labels of a sample, by the usual ways of naming them: a key that contains "label".

    Raises: ValueError where none is found.
    """
    candidate = inputs[1] if isinstance(inputs, (tuple, list)) else inputs
    if isinstance(candidate, Tensor):
        return candidate
    if not isinstance(candidate, dict):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a"
            f" dictionary or a two-tuple whose second item is a"
            f" dictionary or a tensor, but got {inputs} instead."
        )
    keys = [key for key in candidate if isinstance(key, str)]
    for key in keys:
        if key.lower() == "labels":
            return candidate[key]
    for key in keys:
        if "label" in key.lower():
            return candidate[key]
    raise ValueError(
        "Could not infer where the labels are in the sample. Try passing a"
        " callable as the labels_getter parameter? If there are no"
        " labels in the sample by design, pass labels_getter=None."
    )


def labels_getter_of(labels_getter: Any) -> Callable[[Any], Any]:
    """The function that finds labels.  Raises: ValueError for what is none."""
    if labels_getter == "default":
        return find_labels
    if callable(labels_getter):
        return labels_getter
    if labels_getter is None:
        return lambda inputs: None
    raise ValueError(
        f"labels_getter should either be 'default', a callable, or None, but got {labels_getter}."
    )
