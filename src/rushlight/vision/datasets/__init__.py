"""Datasets of images, in the files of their publications.

In: a folder, maybe `download=True`.  Out: (image, target) pairs.  Level 14.
"""

from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100, SEMEION, STL10, SVHN, USPS
from rushlight.vision.datasets.flow import (
    HD1K,
    CarlaStereo,
    CREStereo,
    ETH3DStereo,
    FallingThingsStereo,
    FlyingChairs,
    FlyingThings3D,
    InStereo2k,
    Kitti2012Stereo,
    Kitti2015Stereo,
    KittiFlow,
    Middlebury2014Stereo,
    SceneFlowStereo,
    Sintel,
    SintelStereo,
)
from rushlight.vision.datasets.folder import DatasetFolder, FakeData, ImageFolder
from rushlight.vision.datasets.listed import (
    DTD,
    SBU,
    SUN397,
    CLEVRClassification,
    Country211,
    FGVCAircraft,
    Flickr8k,
    Flickr30k,
    Imagenette,
    Omniglot,
    Places365,
    RenderedSST2,
    StanfordCars,
)
from rushlight.vision.datasets.lsun import LSUN, LSUNClass
from rushlight.vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from rushlight.vision.datasets.pictures import (
    GTSRB,
    Caltech101,
    Caltech256,
    CelebA,
    CocoCaptions,
    CocoDetection,
    EuroSAT,
    Flowers102,
    Food101,
    ImageNet,
    OxfordIIITPet,
    VOCDetection,
    VOCSegmentation,
)
from rushlight.vision.datasets.scenes import (
    FER2013,
    PCAM,
    Cityscapes,
    INaturalist,
    Kitti,
    LFWPairs,
    LFWPeople,
    MovingMNIST,
    PhotoTour,
    SBDataset,
    WIDERFace,
)
from rushlight.vision.datasets.video import HMDB51, UCF101, Kinetics
from rushlight.vision.datasets.vision import VisionDataset
from rushlight.vision.datasets.wrapping import wrap_dataset_for_transforms_v2

__all__ = [
    "CIFAR10", "CIFAR100", "CLEVRClassification", "CREStereo", "Caltech101", "Caltech256",
    "CarlaStereo", "CelebA", "Cityscapes", "CocoCaptions", "CocoDetection", "Country211", "DTD",
    "DatasetFolder", "EMNIST", "ETH3DStereo", "EuroSAT", "FER2013", "FGVCAircraft", "FakeData",
    "FallingThingsStereo", "FashionMNIST", "Flickr30k", "Flickr8k", "Flowers102", "FlyingChairs",
    "FlyingThings3D", "Food101", "GTSRB", "HD1K", "HMDB51", "INaturalist", "ImageFolder",
    "ImageNet", "Imagenette", "InStereo2k", "KMNIST", "Kinetics", "Kitti", "Kitti2012Stereo",
    "Kitti2015Stereo", "KittiFlow", "LFWPairs", "LFWPeople", "LSUN", "LSUNClass", "MNIST",
    "Middlebury2014Stereo", "MovingMNIST", "Omniglot", "OxfordIIITPet", "PCAM", "PhotoTour",
    "Places365", "QMNIST", "RenderedSST2", "SBDataset", "SBU", "SEMEION", "STL10", "SUN397",
    "SVHN", "SceneFlowStereo", "Sintel", "SintelStereo", "StanfordCars", "UCF101", "USPS",
    "VOCDetection", "VOCSegmentation", "VisionDataset", "WIDERFace",
    "wrap_dataset_for_transforms_v2",
]  # fmt: skip
