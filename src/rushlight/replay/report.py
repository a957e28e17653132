"""What became of the calls of a replayed function, for people.  Level: replay."""

from __future__ import annotations

from typing import Any


class Report:
    """calls, replays, watches: how many there were, without Python, and under watch.

    reasons: why the Python ran -> how often; the latest reason of each kind of call comes last.
    """

    def __init__(self, function: Any) -> None:
        self.name = getattr(function.original, "__qualname__", type(function.original).__name__)
        self.calls: int = function.calls
        self.replays: int = function.replays
        self.watches: int = function.watches
        self.kinds: int = len(function.kinds)
        self.variants: int = sum(len(kind.variants) for kind in function.kinds.values())
        self.reasons: dict[str, int] = dict(function.reasons)
        self.latest: list[str] = [k.reason for k in function.kinds.values() if k.reason]

    @property
    def reason(self) -> str:
        """Why the last call that was not replayed ran its Python; "" if none had to."""
        return self.latest[-1] if self.latest else next(reversed(self.reasons), "")

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.calls} calls, {self.replays} replayed, {self.watches} watched; "
            f"{self.variants} ways it may go, of {self.kinds} kinds of calls"
        ]
        lines += [f"  Python ran: {reason} ({n}×)" for reason, n in self.reasons.items()]
        return "\n".join(lines)

    __repr__ = __str__
