"""Hooks that gradients go through before processes average them.  Level 12.

With one process nothing is averaged: a hook would have nothing to send, and registering one says
so.  Source: torch.distributed.algorithms.ddp_comm_hooks.
"""

from rushlight.distributed.algorithms.ddp_comm_hooks import default_hooks

__all__ = ["default_hooks"]
