"""From the bytes of a file to what they say.  Level 12."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.utils.data.datapipes.streams import StreamWrapper


def basichandlers(extension: str, data: bytes) -> Any:
    """Texts, numbers, JSON and pickles; None for other endings."""
    if extension in ("txt", "text", "transcript"):
        return data.decode("utf-8")
    if extension in ("cls", "cls2", "class", "count", "index", "inx", "id"):
        try:
            return int(data)
        except ValueError:
            return None
    if extension in ("json", "jsn"):
        return json.loads(data)
    if extension in ("pyd", "pickle"):
        return pickle.loads(data)
    return None


def extension_of(pathname: str) -> str:
    """The ending of a path, without its dot."""
    return os.path.splitext(pathname)[1][1:]


class Decoder:
    """Asks handlers in turn for the content of each file; bytes where none knows the ending."""

    def __init__(self, *handler: Callable, key_fn: Callable = extension_of) -> None:
        self.handlers = list(handler)
        self.key_fn = key_fn

    def add_handler(self, *handler: Callable) -> None:
        """Ask these after the others."""
        self.handlers.extend(handler)

    def decode1(self, key: str, data: Any) -> Any:
        """The content of one file with this ending."""
        if not data:
            return data
        for handler in self.handlers:
            found = handler(key, data)
            if found is not None:
                return found
        return data

    def decode(self, data: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """Path to content, of pairs of a path and a stream or bytes."""
        found = {}
        for name, content in data:
            if name.startswith("__"):
                found[name] = content
                continue
            read = content.read() if hasattr(content, "read") else content
            StreamWrapper.close_streams(content)
            found[name] = self.decode1(self.key_fn(name), read)
        return found

    def __call__(self, data: Any) -> dict[str, Any]:
        return self.decode([data] if isinstance(data[0], str) else data)
