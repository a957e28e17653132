"""How tensors are pickled between processes.  In: nothing.  Out: the pickler knows them.

Importing `tensor/shared_memory.py` registers them; this is PyTorch's name for the place where that
is done again.  Level: multiprocessing (12).
"""

from multiprocessing.reduction import ForkingPickler

from rushlight.tensor import shared_memory

__all__ = ["ForkingPickler", "init_reductions"]


def init_reductions() -> None:
    """Let queues, pipes and processes hand tensors on through shared memory; done at import."""
    assert shared_memory.share is not None
