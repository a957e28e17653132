"""Datasets of images, in the files of their publications.

In: a folder, maybe `download=True`.  Out: (image, target) pairs.  Level 14.
"""

from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100, SEMEION, STL10, SVHN, USPS
from rushlight.vision.datasets.folder import DatasetFolder, FakeData, ImageFolder
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
from rushlight.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10", "CIFAR100", "Caltech101", "Caltech256", "CelebA", "CocoCaptions", "CocoDetection",
    "DatasetFolder", "EMNIST", "EuroSAT", "FakeData", "FashionMNIST", "Flowers102", "Food101",
    "GTSRB", "ImageFolder", "ImageNet", "KMNIST", "MNIST", "OxfordIIITPet", "QMNIST", "SEMEION",
    "STL10", "SVHN", "USPS", "VOCDetection", "VOCSegmentation", "VisionDataset",
]  # fmt: skip
