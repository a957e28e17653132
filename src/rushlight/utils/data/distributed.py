"""`DistributedSampler` under PyTorch's name of its module.  Level 12."""

from rushlight.utils.data.sampler import DistributedSampler

__all__ = ["DistributedSampler"]
