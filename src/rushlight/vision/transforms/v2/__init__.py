"""Transforms of images, second version: whole samples, with their masks, boxes and points.

Level 14.
"""

from rushlight.vision.transforms.interpolation import InterpolationMode
from rushlight.vision.transforms.v2 import functional
from rushlight.vision.transforms.v2.autoaugment import (
    AugMix,
    AutoAugment,
    AutoAugmentPolicy,
    RandAugment,
    TrivialAugmentWide,
)
from rushlight.vision.transforms.v2.colour import (
    JPEG,
    RGB,
    ColorJitter,
    CutMix,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    MixUp,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomChannelPermutation,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPhotometricDistort,
    RandomPosterize,
    RandomSolarize,
)
from rushlight.vision.transforms.v2.containers import (
    ClampBoundingBoxes,
    ClampKeyPoints,
    Compose,
    ConvertBoundingBoxFormat,
    ConvertImageDtype,
    Identity,
    Lambda,
    LinearTransformation,
    Normalize,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomOrder,
    SanitizeBoundingBoxes,
    SanitizeKeyPoints,
    SetClampingMode,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
    ToTensor,
    UniformTemporalSubsample,
)
from rushlight.vision.transforms.v2.geometry import (
    CenterCrop,
    ElasticTransform,
    FiveCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomIoUCrop,
    RandomPerspective,
    RandomResize,
    RandomResizedCrop,
    RandomRotation,
    RandomShortestSize,
    RandomVerticalFlip,
    RandomZoomOut,
    Resize,
    ScaleJitter,
    TenCrop,
)
from rushlight.vision.transforms.v2.inputs import (
    check_type,
    get_bounding_boxes,
    get_keypoints,
    has_all,
    has_any,
    query_chw,
    query_size,
)
from rushlight.vision.transforms.v2.transform import Transform
