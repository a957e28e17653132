"""What quantized modules are made of.  Level: ao (12)."""

from rushlight.ao.nn.quantized.modules.linear import LinearPackedParams

__all__ = ["LinearPackedParams"]
