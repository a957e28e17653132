"""Pipelines of data, one step after the other: torch.utils.data.datapipes.  Level 12."""

from rushlight.utils.data.datapipes import iter, map

__all__ = ["iter", "map"]
