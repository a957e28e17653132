"""Settings of all pipes that a pipe is made of: shares, orders, seeds.  Level 12."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from rushlight.utils.data.datapipes.iter.sharding import SHARDING_PRIORITIES
from rushlight.utils.data.graph import traverse_dps
from rushlight.utils.data.seeding import draw_seed

__all__ = [
    "apply_random_seed", "apply_sharding", "apply_shuffle_settings", "get_all_graph_pipes",
]  # fmt: skip


def get_all_graph_pipes(graph: dict[int, tuple[Any, dict]]) -> list[Any]:
    """The pipes of what `traverse_dps` gives, each once, a pipe before those that it reads."""
    found: dict[int, Any] = {}
    for number, (pipe, below) in graph.items():
        found.setdefault(number, pipe)
        for inner in get_all_graph_pipes(below):
            found.setdefault(id(inner), inner)
    return list(found.values())


def _having(datapipe: Any, *methods: str) -> list[Any]:
    pipes = get_all_graph_pipes(traverse_dps(datapipe))
    # A method that is a step to be appended is no setting of the pipe.
    return [p for p in pipes if all(inspect.ismethod(getattr(p, name, None)) for name in methods)]


def apply_sharding(
    datapipe: Any,
    num_of_instances: int,
    instance_id: int,
    sharding_group: SHARDING_PRIORITIES = SHARDING_PRIORITIES.DEFAULT,
) -> Any:
    """Tell the filters that share data out which of how many this is.

    Raises: RuntimeError if one reads from another.
    """

    def tell(graph: dict[int, tuple[Any, dict]], above: Any) -> None:
        for pipe, below in graph.values():
            here = above
            if inspect.ismethod(getattr(pipe, "apply_sharding", None)):
                if above is not None:
                    raise RuntimeError(
                        "Sharding twice on a single pipeline is likely unintended and will cause"
                        f" data loss. Sharding already applied to {above} while trying to apply to"
                        f" {pipe}"
                    )
                if len(inspect.signature(pipe.apply_sharding).parameters) < 3:
                    pipe.apply_sharding(num_of_instances, instance_id)
                else:
                    pipe.apply_sharding(
                        num_of_instances, instance_id, sharding_group=sharding_group
                    )
                here = pipe
            tell(below, here)

    tell(traverse_dps(datapipe), None)
    return datapipe


def apply_shuffle_settings(datapipe: Any, shuffle: bool | None = None) -> Any:
    """Turn shuffling on or off; None leaves it.  A pipe without a shuffler gets one at its end."""
    if shuffle is None:
        return datapipe
    shufflers = _having(datapipe, "set_shuffle", "set_seed")
    if shuffle and not shufflers:
        warnings.warn(
            "`shuffle=True` was set, but the datapipe does not contain a `Shuffler`. Adding one at"
            " the end. Be aware that the default buffer size might not be sufficient for your"
            " task.",
            stacklevel=2,
        )
        datapipe = datapipe.shuffle()
        shufflers = [datapipe]
    for shuffler in shufflers:
        shuffler.set_shuffle(shuffle)
    return datapipe


def apply_random_seed(datapipe: Any, rng: Any) -> Any:
    """Give every pipe that has a `set_seed` a seed drawn from a generator."""
    for pipe in _having(datapipe, "set_seed"):
        pipe.set_seed(draw_seed(rng))
    return datapipe
