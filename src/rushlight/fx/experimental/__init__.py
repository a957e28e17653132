"""What PyTorch's compiler knows while it traces; here nothing is traced with symbols.  Level 12."""

from rushlight.fx.experimental import proxy_tensor, symbolic_shapes

__all__ = ["proxy_tensor", "symbolic_shapes"]
