"""Objects that give and take their state.  Level 12.

Source: torch.distributed.checkpoint.stateful.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """What has `state_dict` and `load_state_dict`: `save` and `load` call them."""

    def state_dict(self) -> dict[str, Any]:
        """The state, as nested dictionaries of tensors and other objects."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take such a state."""
