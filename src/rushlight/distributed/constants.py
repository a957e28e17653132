"""How long a collective may take.  Level 12."""

from rushlight.distributed.groups import default_pg_nccl_timeout, default_pg_timeout

__all__ = ["default_pg_nccl_timeout", "default_pg_timeout"]
