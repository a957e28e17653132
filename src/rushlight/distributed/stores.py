"""Stores: small key-value tables that processes meet at.  Level 12.

In: strings or bytes. Out: bytes. With one process all three hold a dict; FileStore keeps it in a
file as well, so that one process after another can read it. Source: torch.distributed.Store.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rushlight.distributed.vocabulary import DistStoreError

_DEFAULT_TIMEOUT = timedelta(seconds=300)
_POLL_SECONDS = 0.01


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class Store:
    """Base of stores: a table in memory, guarded by a lock."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self.timeout = _DEFAULT_TIMEOUT

    def set(self, key: str, value: str | bytes) -> None:
        """Keep a value."""
        with self._changed:
            self._values[key] = _as_bytes(value)
            self._written()

    def get(self, key: str) -> bytes:
        """The value, once somebody has set it.  Raises: DistStoreError after the timeout."""
        self.wait([key])
        return self._values[key]

    def add(self, key: str, amount: int) -> int:
        """Count: add to the number kept under a key (0 at first) and return the sum."""
        with self._changed:
            total = int(self._values.get(key, b"0")) + int(amount)
            self._values[key] = str(total).encode()
            self._written()
        return total

    def append(self, key: str, value: str | bytes) -> None:
        """Put a value behind the one kept."""
        with self._changed:
            self._values[key] = self._values.get(key, b"") + _as_bytes(value)
            self._written()

    def compare_set(self, key: str, expected_value: str, desired_value: str) -> bytes:
        """Set the desired value if the expected one is kept; returns the one kept then.

        An empty expected value means that none may be kept.
        """
        with self._changed:
            kept = self._values.get(key)
            if kept is None and expected_value:
                return _as_bytes(expected_value)
            if kept is None or kept == _as_bytes(expected_value):
                self._values[key] = _as_bytes(desired_value)
                self._written()
            return self._values[key]

    def delete_key(self, key: str) -> bool:
        """Forget a value; whether there was one."""
        with self._changed:
            found = self._values.pop(key, None) is not None
            self._written()
        return found

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all keys have values."""
        self._read()
        return all(key in self._values for key in keys)

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Until all keys have values.  Raises: DistStoreError after the timeout."""
        limit = time.monotonic() + (timeout or self.timeout).total_seconds()
        while not self.check(keys):
            left = limit - time.monotonic()
            if left <= 0:
                missing = [key for key in keys if key not in self._values]
                raise DistStoreError(
                    f"wait timeout after {int((timeout or self.timeout).total_seconds() * 1000)}ms,"
                    f" keys: {', '.join('/' + key for key in missing)}"
                )
            with self._changed:
                self._changed.wait(min(left, _POLL_SECONDS))

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """The values of several keys."""
        return [self.get(key) for key in keys]

    def multi_set(self, keys: Sequence[str], values: Sequence[str | bytes]) -> None:
        """Set several values."""
        for key, value in zip(keys, values, strict=True):
            self.set(key, value)

    def num_keys(self) -> int:
        """How many values are kept."""
        self._read()
        return len(self._values)

    def set_timeout(self, timeout: timedelta) -> None:
        """How long to wait for values."""
        self.timeout = timeout

    def has_extended_api(self) -> bool:
        """Whether `append` and its relatives are there."""
        return True

    def _read(self) -> None:
        """Take over what others wrote; a table in memory has no others."""

    def _written(self) -> None:
        self._changed.notify_all()


class HashStore(Store):
    """A store in this process's memory."""


class FileStore(Store):
    """A store that is also kept in a file."""

    def __init__(self, file_name: str, world_size: int = -1) -> None:
        super().__init__()
        self.path = os.fspath(file_name)
        self.world_size = world_size
        self._read()

    def _read(self) -> None:
        try:
            with open(self.path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return
        if not text:
            return
        try:
            kept = json.loads(text)
            self._values = {str(key): bytes.fromhex(value) for key, value in kept.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise DistStoreError(
                f"FileStore: {self.path} is not a file of this store ({error}); name a new file"
            ) from None

    def _written(self) -> None:
        text = json.dumps({key: value.hex() for key, value in self._values.items()})
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, self.path)
        super()._written()


class TCPStore(Store):
    """PyTorch's store at a host and port; here, where one process is master and only client, a
    table in memory, and no port is opened.

    Raises: NotImplementedError if this process is not the master or others are waited for.
    """

    def __init__(
        self,
        host_name: str,
        port: int = 0,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: timedelta = _DEFAULT_TIMEOUT,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        super().__init__()
        if not is_master or (world_size or 1) > 1:
            raise NotImplementedError(
                f"TCPStore: world_size={world_size}, is_master={is_master} would meet other "
                "processes, and rushlight runs one process (world size 1)"
            )
        self.host = host_name
        self.port = port
        self.timeout = timeout


class PrefixStore(Store):
    """Another store's keys that begin with a prefix."""

    def __init__(self, prefix: str, store: Store) -> None:
        super().__init__()
        self.prefix = prefix
        self.underlying_store = store

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}"

    def set(self, key: str, value: str | bytes) -> None:
        self.underlying_store.set(self._key(key), value)

    def get(self, key: str) -> bytes:
        return self.underlying_store.get(self._key(key))

    def add(self, key: str, amount: int) -> int:
        return self.underlying_store.add(self._key(key), amount)

    def append(self, key: str, value: str | bytes) -> None:
        self.underlying_store.append(self._key(key), value)

    def compare_set(self, key: str, expected_value: str, desired_value: str) -> bytes:
        return self.underlying_store.compare_set(self._key(key), expected_value, desired_value)

    def delete_key(self, key: str) -> bool:
        return self.underlying_store.delete_key(self._key(key))

    def check(self, keys: Sequence[str]) -> bool:
        return self.underlying_store.check([self._key(key) for key in keys])

    def wait(self, keys: Sequence[str], timeout: Any = None) -> None:
        self.underlying_store.wait([self._key(key) for key in keys], timeout)

    def num_keys(self) -> int:
        return self.underlying_store.num_keys()
