"""What trainers do among processes: joining uneven inputs, hooks of communication.  Level 12.

Source: torch.distributed.algorithms.
"""

from rushlight.distributed.algorithms.join import Join, Joinable, JoinHook

__all__ = ["Join", "JoinHook", "Joinable"]
