"""One run that is watched: what a program says about itself, and where that is shown.  Level 12."""

from __future__ import annotations

import html
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from rushlight.serialization.atomic import write_atomically
from rushlight.tensor.tensor import Tensor
from rushlight.watch.events import EventFile
from rushlight.watch.record import Record
from rushlight.watch.server import Server, page_text

__all__ = ["Run"]


class Run:
    """A page for a run, from here to `close`; also as `with Run() as run:`.

    title: what stands on the page.  port: of the live page on this machine; 0 takes a free one,
    None serves none.  file: where the page is written at the end; None writes none.
    events: a folder for a file of TensorBoard's events; TensorBoard is not needed to write it.

    >>> run = Run("digits", port=None, file=None)
    >>> run.log(loss=0.5, accuracy=0.9)
    >>> run.close()
    """

    def __init__(
        self, title: str = "run", *, port: int | None = 0, file: str | os.PathLike | None = None,
        events: str | os.PathLike | None = None,
    ) -> None:  # fmt: skip
        self.record = Record(title, None if events is None else EventFile(events))
        self.file = None if file is None else Path(file).absolute()
        self._server = None if port is None else Server(self.record, port)
        self._step = 0

    @property
    def address(self) -> str | None:
        """Where the live page is, while there is one."""
        return None if self._server is None else self._server.address

    def log(self, step: int | None = None, **values: Any) -> None:
        """Numbers of one step, by name: Python's, or tensors and arrays of one element.

        step: one more than at the last call unless given.  Raises: ValueError for a value of
        several elements.
        """
        self._step = self._step + 1 if step is None else step
        for name, value in values.items():
            self.record.scalar(name, _number(name, value), self._step)

    def histogram(self, name: str, values: Any, step: int | None = None) -> None:
        """How the values of a tensor or an array are distributed."""
        self.record.histogram(name, _array(values), self._at(step))

    def image(self, name: str, values: Any, step: int | None = None) -> None:
        """A picture: (H, W), (1, H, W), (3, H, W) or (H, W, 3).  Raises: ValueError otherwise."""
        self.record.picture(name, _array(values), self._at(step))

    def text(self, name: str, words: str) -> None:
        """A text under a name; the latest stays."""
        self.record.text(name, str(words))

    def close(self, how: str = "ended") -> None:
        """Write the page to its file, and stop serving it.  A second call does nothing."""
        if self.record.ended is not None:
            return
        self.record.end(how)
        if self._server is not None:
            self._server.close()
            self._server = None
        if self.file is not None:
            # At once: a page of an earlier run is not lost half-way.
            write_atomically(self.file, self._write_page)

    def _write_page(self, file: IO[bytes]) -> None:
        file.write(page_text(self.record, live=False).encode())

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close("ended" if error is None else f"ended by {type(error).__name__}: {error}")

    def _at(self, step: int | None) -> int:
        return self._step if step is None else step

    def _repr_html_(self) -> str:
        """In a notebook: the live page in a frame, or the last state of it."""
        if self.address is not None:
            source = f'src="{self.address}"'
        else:
            source = f'srcdoc="{html.escape(page_text(self.record, live=False))}"'
        return f'<iframe {source} style="width:100%;height:480px;border:0"></iframe>'


def _array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        plain = values.detach().cpu()
        return (plain.float() if plain.is_floating_point() else plain).numpy()
    return np.asarray(values)


def _number(name: str, value: Any) -> float:
    if isinstance(value, Tensor):
        value = value.detach()
        if value.numel() != 1:
            raise ValueError(f"{name} is one number a step, got a tensor of {tuple(value.shape)}")
        return float(value.item())
    if isinstance(value, np.ndarray) and value.size != 1:
        raise ValueError(f"{name} is one number a step, got an array of {value.shape}")
    return float(value)
