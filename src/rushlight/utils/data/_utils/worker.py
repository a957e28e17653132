"""What a loader's workers are made of, under the name that PyTorch keeps it by.  Level 12."""

from __future__ import annotations

from rushlight.utils.data.seeding import worker_words
from rushlight.utils.data.worker import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """The four words of 32 bits that seed NumPy's generator in a worker."""
    return worker_words(base_seed, worker_id)
