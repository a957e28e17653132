"""Ready-made parametrizations, under PyTorch's names.  Level 12."""

from rushlight.nn.utils.weight_norm import parametrize_weight_norm as weight_norm

__all__ = ["weight_norm"]
