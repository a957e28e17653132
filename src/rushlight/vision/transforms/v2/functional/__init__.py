"""The second version of the transforms as functions.

In: an image (PIL, tensor, Image), Video, Mask, BoundingBoxes or KeyPoints first.  Out: the same
kind, moved the same way.  Each function finds its kernel by the kind (`dispatch.py`); kernels that
take plain tensors are public too, as `resize_image`.  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.vision import tv_tensors as _tv
from rushlight.vision.transforms import _functional_pil as _pil
from rushlight.vision.transforms.conversion import pil_to_tensor, to_pil_image, to_tensor
from rushlight.vision.transforms.interpolation import InterpolationMode
from rushlight.vision.transforms.v2.functional import colour as _c
from rushlight.vision.transforms.v2.functional import dispatch as _d
from rushlight.vision.transforms.v2.functional import facts as _f
from rushlight.vision.transforms.v2.functional import geometry as _g
from rushlight.vision.transforms.v2.functional import placing as _p
from rushlight.vision.transforms.v2.functional.boxes import (
    clamp_bounding_boxes,
    clamp_keypoints,
    convert_bounding_box_format,
    sanitize_bounding_boxes,
    sanitize_keypoints,
)
from rushlight.vision.transforms.v2.functional.colour import (
    adjust_brightness_image,
    adjust_contrast_image,
    adjust_gamma_image,
    adjust_hue_image,
    adjust_saturation_image,
    adjust_sharpness_image,
    autocontrast_image,
    equalize_image,
    gaussian_noise_image,
    grayscale_to_rgb_image,
    invert_image,
    normalize_image,
    permute_channels_image,
    posterize_image,
    rgb_to_grayscale_image,
    solarize_image,
)
from rushlight.vision.transforms.v2.functional.dispatch import (
    KERNELS,
    is_pure_tensor,
    register_kernel,
)
from rushlight.vision.transforms.v2.functional.facts import (
    erase_image,
    get_dimensions_image,
    get_num_channels_image,
    get_num_frames_video,
    get_size_bounding_boxes,
    get_size_image,
    get_size_keypoints,
    get_size_mask,
    jpeg_image,
    to_dtype_image,
    to_image,
    uniform_temporal_subsample_video,
)
from rushlight.vision.transforms.v2.functional.geometry import (
    affine_image,
    center_crop_image,
    crop_image,
    elastic_image,
    five_crop_image,
    horizontal_flip_image,
    pad_image,
    pad_mask,
    perspective_image,
    resize_image,
    resize_mask,
    resized_crop_image,
    resized_crop_mask,
    rotate_image,
    ten_crop_image,
    vertical_flip_image,
)
from rushlight.vision.transforms.v2.functional.kernels import (
    affine_bounding_boxes,
    affine_keypoints,
    affine_mask,
    crop_bounding_boxes,
    crop_keypoints,
    elastic_bounding_boxes,
    elastic_keypoints,
    elastic_mask,
    pad_bounding_boxes,
    pad_keypoints,
    perspective_bounding_boxes,
    perspective_keypoints,
    perspective_mask,
    resize_bounding_boxes,
    resize_keypoints,
    resized_crop_bounding_boxes,
    resized_crop_keypoints,
    rotate_bounding_boxes,
    rotate_keypoints,
    rotate_mask,
)
from rushlight.vision.transforms.v2.functional.placing import (
    center_crop_bounding_boxes,
    center_crop_keypoints,
)

_get_kernel = _d.kernel_for


def _only(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A placing kernel whose canvas never changes, returning the tensor alone."""

    def call(*args: Any, **kwargs: Any) -> Tensor:
        return kernel(*args, **kwargs)[0]

    call.__doc__ = kernel.__doc__
    return call


horizontal_flip_bounding_boxes = _only(_p.horizontal_flip_bounding_boxes)
vertical_flip_bounding_boxes = _only(_p.vertical_flip_bounding_boxes)
horizontal_flip_keypoints = _only(_p.horizontal_flip_keypoints)
vertical_flip_keypoints = _only(_p.vertical_flip_keypoints)
horizontal_flip_mask, vertical_flip_mask = horizontal_flip_image, vertical_flip_image
crop_mask = crop_image


def center_crop_mask(mask: Tensor, output_size: Any) -> Tensor:
    """The middle of a mask (..., H, W)."""
    return _g._one_channel(center_crop_image)(mask, output_size)


def gaussian_blur_image(image: Tensor, kernel_size: Any, sigma: Any = None) -> Tensor:
    """Blur an image (..., C, H, W) by a Gaussian."""
    return _c.gaussian_blur_image(image, kernel_size, sigma)


# ---- geometry ----------------------------------------------------------------------------------

# Name: what it does, and its kernels for tensors, PIL images and masks.
_GEOMETRY: dict[str, tuple[str, Any, Any, Any]] = {
    "horizontal_flip": (
        "Left and right exchanged.",
        horizontal_flip_image,
        _pil.hflip,
        horizontal_flip_mask,
    ),
    "vertical_flip": (
        "Top and bottom exchanged.",
        vertical_flip_image,
        _pil.vflip,
        vertical_flip_mask,
    ),
    "resize": (
        "Resize to (height, width) or the shorter edge to one number.",
        resize_image,
        _g.resize_pil,
        resize_mask,
    ),
    "crop": (
        "A rectangle by top, left, height and width.",
        crop_image,
        _pil.crop,
        crop_mask,
    ),
    "center_crop": (
        "The middle.",
        center_crop_image,
        _g.center_crop_pil,
        center_crop_mask,
    ),
    "resized_crop": (
        "Crop, then resize.",
        resized_crop_image,
        _g.resized_crop_pil,
        resized_crop_mask,
    ),
    "pad": (
        "Add pixels at the four sides.",
        pad_image,
        _pil.pad,
        pad_mask,
    ),
    "affine": (
        "Turn, shift, scale and shear.",
        affine_image,
        _g.affine_pil,
        _g.affine_mask,
    ),
    "rotate": (
        "Turn against the clock by degrees.",
        rotate_image,
        _g.rotate_pil,
        _g.rotate_mask,
    ),
    "perspective": (
        "Move four corners.",
        perspective_image,
        _g.perspective_pil,
        _g.perspective_mask,
    ),
    "elastic": (
        "Move each pixel by a displacement.",
        elastic_image,
        _g.elastic_pil,
        _g.elastic_mask,
    ),
}


def _geometric(name: str) -> Callable[..., Any]:
    doc, image, pil, mask = _GEOMETRY[name]
    return _d.dispatcher(
        name, doc, image, pil, mask=mask,
        boxes=_p.on_boxes(getattr(_p, f"{name}_bounding_boxes")),
        keypoints=_p.on_points(getattr(_p, f"{name}_keypoints")),
    )  # fmt: skip


horizontal_flip = hflip = _geometric("horizontal_flip")
vertical_flip = vflip = _geometric("vertical_flip")
resize = _geometric("resize")
crop = _geometric("crop")
center_crop = _geometric("center_crop")
resized_crop = _geometric("resized_crop")
pad = _geometric("pad")
affine = _geometric("affine")
rotate = _geometric("rotate")
perspective = _geometric("perspective")
elastic = elastic_transform = _geometric("elastic")
five_crop = _d.dispatcher(
    "five_crop", "Four corners and middle.", five_crop_image, _g.five_crop_pil
)
ten_crop = _d.dispatcher(
    "ten_crop", "`five_crop` of the image and its mirror image.", ten_crop_image, _g.ten_crop_pil
)

# ---- colour ------------------------------------------------------------------------------------

adjust_brightness = _d.dispatcher(
    "adjust_brightness", "0 is black, 1 the image.", adjust_brightness_image, _pil.adjust_brightness
)
adjust_contrast = _d.dispatcher(
    "adjust_contrast", "0 is gray, 1 the image.", adjust_contrast_image, _pil.adjust_contrast
)
adjust_saturation = _d.dispatcher(
    "adjust_saturation", "0 is black and white, 1 the image.", adjust_saturation_image,
    _pil.adjust_saturation,
)  # fmt: skip
adjust_sharpness = _d.dispatcher(
    "adjust_sharpness", "0 is blurred, 1 the image.", adjust_sharpness_image, _pil.adjust_sharpness
)
adjust_hue = _d.dispatcher("adjust_hue", "Turn all colours.", adjust_hue_image, _pil.adjust_hue)
adjust_gamma = _d.dispatcher(
    "adjust_gamma", "`255 gain (x / 255)^gamma`.", adjust_gamma_image, _pil.adjust_gamma
)
posterize = _d.dispatcher("posterize", "Keep the highest bits.", posterize_image, _pil.posterize)
solarize = _d.dispatcher("solarize", "Invert from a threshold on.", solarize_image, _pil.solarize)
autocontrast = _d.dispatcher(
    "autocontrast", "Stretch each channel over the whole range.", autocontrast_image,
    _pil.autocontrast,
)  # fmt: skip
equalize = _d.dispatcher("equalize", "Levels equally frequent.", equalize_image, _pil.equalize)
invert = _d.dispatcher("invert", "The negative.", invert_image, _pil.invert)
permute_channels = _d.dispatcher(
    "permute_channels", "Channels in another order.", permute_channels_image,
    _c.permute_channels_pil,
)  # fmt: skip
rgb_to_grayscale = _d.dispatcher(
    "rgb_to_grayscale", "Gray, once or three times.", rgb_to_grayscale_image, _c.to_grayscale_pil
)
grayscale_to_rgb = _d.dispatcher(
    "grayscale_to_rgb", "Three equal channels of one.", grayscale_to_rgb_image,
    _c.grayscale_to_rgb_pil,
)  # fmt: skip
gaussian_blur = _d.dispatcher(
    "gaussian_blur", "Blur by a Gaussian.", gaussian_blur_image, _c.gaussian_blur_pil
)
gaussian_noise = _d.dispatcher("gaussian_noise", "Normal noise added.", gaussian_noise_image)
normalize = _d.dispatcher("normalize", "`(image - mean) / std`, by channel.", normalize_image)

# ---- facts and conversions ---------------------------------------------------------------------

get_dimensions = _d.dispatcher(
    "get_dimensions", "[channels, height, width].", get_dimensions_image, _pil.get_dimensions
)
get_num_channels = get_image_num_channels = _d.dispatcher(
    "get_num_channels", "How many channels.", get_num_channels_image, _pil.get_image_num_channels
)
get_size = _d.dispatcher(
    "get_size", "[height, width].", get_size_image, _f.get_size_pil, mask=get_size_image,
    boxes=_f.get_size_canvas, keypoints=_f.get_size_canvas,
)  # fmt: skip
get_num_frames = _d.dispatcher("get_num_frames", "How many images.", get_num_frames_video)


def _facts_stay_plain() -> None:
    """Numbers are not wrapped as images are."""
    for functional, kernel in (
        (get_dimensions, get_dimensions_image), (get_num_channels, get_num_channels_image),
        (get_size, get_size_image), (get_num_frames, get_num_frames_video),
    ):  # fmt: skip
        registry = KERNELS[functional]
        for kind in (_tv.Image, _tv.Video, _tv.Mask):
            if kind in registry:
                registry[kind] = kernel


_facts_stay_plain()


def get_image_size(inpt: Any) -> list[int]:
    """[width, height], as the first version has it."""
    return list(reversed(get_size(inpt)))


erase = _d.dispatcher("erase", "Write over a rectangle.", erase_image, _f.erase_pil)
jpeg = _d.dispatcher("jpeg", "The losses of JPEG.", _d.frames(jpeg_image), _f.jpeg_pil)
to_dtype = _d.dispatcher(
    "to_dtype", "Another dtype, on its scale if `scale`.", to_dtype_image, mask=_f.to_dtype_mask,
    boxes=_f.to_dtype_plain, keypoints=_f.to_dtype_plain,
)  # fmt: skip
uniform_temporal_subsample = _d.dispatcher(
    "uniform_temporal_subsample", "Images of a video, evenly spread.",
    uniform_temporal_subsample_video,
)  # fmt: skip


def convert_image_dtype(image: Tensor, dtype: Any = rl.float32) -> Tensor:
    """A tensor image on the scale of another dtype."""
    return to_dtype_image(image, dtype=dtype, scale=True)


def to_grayscale(inpt: Any, num_output_channels: int = 1) -> Any:
    """As `rgb_to_grayscale`."""
    return rgb_to_grayscale(inpt, num_output_channels=num_output_channels)


def _name_video_kernels() -> None:
    """`resize_video` and its like: the kernels of images take any number of leading axes."""
    for name, kernel in list(globals().items()):
        if name.endswith("_image") and name not in (
            "to_image",
            "to_pil_image",
            "grayscale_to_rgb_image",
            "rgb_to_grayscale_image",
        ):
            globals().setdefault(f"{name[:-6]}_video", kernel)


_name_video_kernels()
