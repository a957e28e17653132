"""PyTorch's `torch.cuda.random`: the generators of CUDA devices.  Level 12."""

from __future__ import annotations

from rushlight.accelerated import Random
from rushlight.engine import cuda

__all__ = [
    "get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all",
    "seed", "seed_all", "set_rng_state", "set_rng_state_all",
]  # fmt: skip

_random = Random(cuda.kind)
get_rng_state = _random.get_rng_state
get_rng_state_all = _random.get_rng_state_all
initial_seed = _random.initial_seed
manual_seed = _random.manual_seed
manual_seed_all = _random.manual_seed_all
seed = _random.seed
seed_all = _random.seed_all
set_rng_state = _random.set_rng_state
set_rng_state_all = _random.set_rng_state_all
