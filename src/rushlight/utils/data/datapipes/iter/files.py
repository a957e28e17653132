"""Steps that find, open, read and decode files.  Level 12."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, length_of
from rushlight.utils.data.datapipes.decoding import Decoder, basichandlers, extension_of
from rushlight.utils.data.datapipes.iter.wrapping import IterableWrapperIterDataPipe
from rushlight.utils.data.datapipes.streams import files_below, opened


class _Announced(IterDataPipe):
    """length: how many samples there are said to be; -1 for unknown."""

    length = -1

    def __len__(self) -> int:
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("list_files")
class FileListerIterDataPipe(_Announced):
    """Paths of the files in a folder or in several.

    masks: patterns of names, `*.txt`.  recursive: those in folders inside as well.
    abspath: absolute paths.  non_deterministic: in the order of the file system, else sorted.
    """

    def __init__(
        self,
        root: str | Sequence[str] | IterDataPipe = ".",
        masks: str | list[str] = "",
        *,
        recursive: bool = False,
        abspath: bool = False,
        non_deterministic: bool = False,
        length: int = -1,
    ) -> None:
        super().__init__()
        roots = [root] if isinstance(root, str) else root
        is_pipe = isinstance(roots, IterDataPipe)
        self.datapipe: Any = roots if is_pipe else IterableWrapperIterDataPipe(roots)
        self.masks = masks
        self.recursive = recursive
        self.abspath = abspath
        self.non_deterministic = non_deterministic
        self.length = length

    def __iter__(self) -> Iterator[str]:
        for path in self.datapipe:
            yield from files_below(
                path, self.masks, self.recursive, self.abspath, self.non_deterministic
            )


@functional_datapipe("open_files")
class FileOpenerIterDataPipe(_Announced):
    """(path, open file) of each path; the file closes when nobody holds it.

    mode: r, t, rt, b or rb.
    """

    def __init__(
        self, datapipe: Any, mode: str = "r", encoding: str | None = None, length: int = -1
    ) -> None:
        super().__init__()
        if mode not in ("b", "t", "rb", "rt", "r"):
            raise ValueError(f"Invalid mode {mode}")
        if "b" in mode and encoding is not None:
            raise ValueError("binary mode doesn't take an encoding argument")
        self.datapipe = datapipe
        self.mode = mode
        self.encoding = encoding
        self.length = length

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from opened(self.datapipe, self.mode, self.encoding)


@functional_datapipe("read_from_stream")
class StreamReaderIterDataPipe(IterDataPipe):
    """(name, content) of each (name, stream), in pieces of `chunk` if that is given."""

    def __init__(self, datapipe: Any, chunk: int | None = None) -> None:
        self.datapipe = datapipe
        self.chunk = chunk

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, stream in self.datapipe:
            while piece := stream.read(self.chunk):
                yield name, piece
            stream.close()


@functional_datapipe("routed_decode")
class RoutedDecoderIterDataPipe(IterDataPipe):
    """(path, decoded content) of each (path, stream), by the first handler that knows the ending.

    handlers: functions of (ending, bytes) that give None for what they do not know.
    key_fn: the ending of a path.
    """

    def __init__(self, datapipe: Any, *handlers: Callable, key_fn: Callable = extension_of) -> None:
        super().__init__()
        self.datapipe = datapipe
        self.decoder = Decoder(*(handlers or (basichandlers,)), key_fn=key_fn)

    def add_handler(self, *handler: Callable) -> None:
        """Ask these after the others."""
        self.decoder.add_handler(*handler)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for sample in self.datapipe:
            if not isinstance(sample, (list, tuple)) or len(sample) != 2:
                raise TypeError(f"pathname binary data should be a pair, but got {type(sample)}")
            name, found = sample[0], self.decoder(sample)
            yield name, found[name]

    def __len__(self) -> int:
        return length_of(self.datapipe, self)
