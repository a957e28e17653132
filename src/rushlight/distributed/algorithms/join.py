"""Processes that run out of inputs before others; with one process none waits.  Level 12.

Source: torch.distributed.algorithms.join.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

__all__ = ["Join", "JoinHook", "Joinable"]


class JoinHook:
    """What a process does after its inputs are used up."""

    def main_hook(self) -> None:
        """For each step that others still take."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """Once all are done."""


class Joinable(ABC):
    """A class whose collectives uneven inputs concern."""

    @abstractmethod
    def join_hook(self, **kwargs: Any) -> JoinHook:
        """The hook of this object."""

    @property
    @abstractmethod
    def join_device(self) -> Any:
        """The device of its collectives."""

    @property
    @abstractmethod
    def join_process_group(self) -> Any:
        """The group of its collectives."""


class Join:
    """A stretch in which inputs may be uneven; at its end the hooks' last word is called."""

    def __init__(
        self,
        joinables: list[Joinable],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables = joinables
        self._hooks = [joinable.join_hook(**kwargs) for joinable in joinables]
        self._enabled = enable

    def __enter__(self) -> None:
        """The inputs begin."""

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._enabled or type is not None:
            return
        for hook in self._hooks:
            hook.post_hook(is_last_joiner=True)

    @staticmethod
    def notify_join_context(joinable: Joinable) -> None:
        """Say that this process still has inputs: there is nobody to hear it."""
