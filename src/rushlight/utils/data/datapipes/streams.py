"""Files that go through a pipeline: found, opened, and closed once nobody holds them.  Level 12."""

from __future__ import annotations

import fnmatch
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import Any


class StreamWrapper:
    """An open file that closes when it is no longer held.

    parent_stream: what it is read out of (an archive), told to close with its last part.
    """

    session_streams: dict[Any, int] = {}
    debug_unclosed_streams = False

    def __init__(self, file_obj: Any, parent_stream: Any = None, name: str | None = None) -> None:
        if parent_stream is not None and not isinstance(parent_stream, StreamWrapper):
            raise RuntimeError(
                f"Parent stream should be StreamWrapper, {type(parent_stream)} was given"
            )
        self.file_obj = file_obj
        self.name = name
        self.closed = False
        self.child_counter = 0
        self.close_on_last_child = False
        self.parent_stream = parent_stream
        if parent_stream is not None:
            parent_stream.child_counter += 1

    @classmethod
    def close_streams(cls, v: Any, depth: int = 0) -> None:
        """Close the streams in a sample, in whatever it is made of."""
        if depth > 10:
            return
        if isinstance(v, StreamWrapper):
            v.close()
        elif isinstance(v, dict):
            for part in v.values():
                cls.close_streams(part, depth + 1)
        elif isinstance(v, (list, tuple)):
            for part in v:
                cls.close_streams(part, depth + 1)

    def close(self, *_: Any, **__: Any) -> None:
        """Close the file, or, with parts of it in use, once they are closed."""
        if self.closed:
            return
        if self.child_counter:
            self.close_on_last_child = True
            return
        self.closed = True
        self.file_obj.close()
        parent = self.parent_stream
        if parent is not None:
            parent.child_counter -= 1
            if not parent.child_counter and parent.close_on_last_child:
                parent.close()

    def autoclose(self) -> None:
        """Close the file as soon as no part of it is in use."""
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["file_obj"], name)

    def __iter__(self) -> Iterator:
        return iter(self.file_obj)

    def __next__(self) -> Any:
        return next(self.file_obj)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self.file_obj)]

    def __del__(self) -> None:
        if "file_obj" in self.__dict__:
            self.close()

    def __repr__(self) -> str:
        if self.name is None:
            return f"StreamWrapper<{self.file_obj!r}>"
        return f"StreamWrapper<{self.name},{self.file_obj!r}>"

    def __getstate__(self) -> Any:
        return self.file_obj

    def __setstate__(self, state: Any) -> None:
        self.__init__(state)  # type: ignore[misc]


def match_masks(name: str, masks: str | list[str]) -> bool:
    """Whether a file's name fits one of the patterns, or there are none."""
    patterns = [masks] if isinstance(masks, str) else masks
    return not masks or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def files_below(
    root: str, masks: str | list[str], recursive: bool, absolute: bool, unsorted: bool
) -> Iterator[str]:
    """Paths of the files in a folder; of a file, itself.  Those of one folder in order."""

    def failed(error: OSError) -> None:
        warnings.warn(str(error.filename) + " : " + str(error.strerror), stacklevel=2)
        raise error

    if os.path.isfile(root):
        path = os.path.abspath(root) if absolute else root
        if match_masks(os.path.basename(path), masks):
            yield path
        return
    for folder, folders, files in os.walk(root, onerror=failed):
        folder = os.path.abspath(folder) if absolute else folder
        if not unsorted:
            folders.sort()
            files.sort()
        yield from (os.path.join(folder, name) for name in files if match_masks(name, masks))
        if not recursive:
            return


def opened(paths: Iterable[str], mode: str, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """Each path and its open file.  Raises: TypeError for what is no path."""
    if isinstance(paths, str):
        paths = [paths]
    mode = f"r{mode}" if mode in ("b", "t") else mode
    for path in paths:
        if not isinstance(path, str):
            raise TypeError(f"Expected string type for pathname, but got {type(path)}")
        yield path, StreamWrapper(open(path, mode, encoding=encoding), name=path)  # noqa: SIM115
