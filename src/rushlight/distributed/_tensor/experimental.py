"""The older name of `distributed.tensor.experimental`.  Level 12."""

from rushlight.distributed.tensor.experimental import implicit_replication

__all__ = ["implicit_replication"]
