"""Ready-made parametrizations, under PyTorch's names.  Level 12."""

from rushlight.nn.utils.orthogonal import orthogonal
from rushlight.nn.utils.spectral_norm import parametrize_spectral_norm as spectral_norm
from rushlight.nn.utils.weight_norm import parametrize_weight_norm as weight_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
