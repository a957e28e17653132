"""Seeds of loaders, samplers and workers, as PyTorch derives them.  Level 12."""

from __future__ import annotations

import random

import numpy as np

from rushlight.base.forks import forks_wait_for
from rushlight.ops.generator import Generator, default_generator, engine_of
from rushlight.rng.discrete import full_range_integers

_WORD = (1 << 32) - 1

# A worker seeds NumPy's own generator, whose lock another thread of the loader's process may hold
# at the fork; NumPy does not make it anew.
forks_wait_for(lambda: [np.random.get_bit_generator().lock])  # type: ignore[attr-defined]


def draw_seed(generator: Generator | None) -> int:
    """A 63-bit number: one 64-bit draw of the generator (the default one if None)."""
    engine = engine_of("DataLoader", generator)
    return int(full_range_integers(engine, 1, "int64")[0])


def seed_worker(base_seed: int, worker_id: int) -> int:
    """Seed this process's generators for a worker: Python's, NumPy's, and ours.

    The first and last take base_seed + worker_id; NumPy's takes four words mixed from both, so
    that workers of neighboring base seeds do not share streams.  Returns: base_seed + worker_id.
    """
    seed = base_seed + worker_id
    random.seed(seed)
    default_generator.manual_seed(seed)
    np.random.seed(worker_words(base_seed, worker_id))
    return seed


def worker_words(base_seed: int, worker_id: int) -> list[int]:
    """Four words of 32 bits mixed from both, which seed NumPy's generator in a worker."""
    entropy = [worker_id, base_seed & _WORD, base_seed >> 32, 0]
    return [int(word) for word in np.random.SeedSequence(entropy).generate_state(4)]
