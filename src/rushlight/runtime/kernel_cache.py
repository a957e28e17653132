"""Compiled kernels by key: in memory, and as object code in a directory private to the user; the
text of a device's kernels lies there, too.

An entry is a header (magic, digest, length) and object code; it is used only if the digest is
right, and removed otherwise.  The directory must belong to the user and be closed to others
(0700, no symbolic link), or the disk is not used at all and ``disk_refusal`` says why: object
code that somebody else could write is code that somebody else could run.  Entries are written
beside their place and renamed, so two processes never see half of one.  When the files exceed
the size limit the longest unused go.  Level 8.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import llvmlite.binding as llvm

from rushlight.base.forks import lock_known_to_forks
from rushlight.base.target import Target
from rushlight.runtime.jit import Library, compile_text

_MAGIC = b"rushobj1"
_DIGEST_BYTES = 32
_HEADER_BYTES = len(_MAGIC) + _DIGEST_BYTES + 8
_SUFFIX = ".obj"
_UNFINISHED = ".tmp"
_SECONDS_TO_WRITE = 3600.0  # an unfinished entry older than this has lost its writer
DEFAULT_LIMIT_BYTES = 256 << 20
LOADED_LIMIT_BYTES = 128 << 20
# What the linker keeps beside the code of one library: pages, symbols (measured: 52 kB in all for
# object code of 3 kB).
LINKED_BYTES = 48 << 10
# Eviction lists the directory, which costs; it runs once in this many stores.
_STORES_BETWEEN_SWEEPS = 64


def default_directory() -> Path:
    """RUSHLIGHT_CACHE_DIR, or ``rushlight`` in the user's cache directory."""
    chosen = os.environ.get("RUSHLIGHT_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "rushlight"
    try:
        return Path.home() / ".cache" / "rushlight"
    except RuntimeError:  # a user without a home
        user = os.getuid() if hasattr(os, "getuid") else "user"
        return Path(tempfile.gettempdir()) / f"rushlight-{user}"


def kernel_key(text: str, target: Target) -> str:
    """The identity of object code: what it was made from and what it was made for."""
    digest = hashlib.sha256()
    version = ".".join(map(str, llvm.llvm_version_info))
    parts = (text, target.triple, target.cpu, target.features_text, str(target.vector_bytes))
    for part in (*parts, version):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


class DiskCache:
    """Object code in one directory; every failure of the disk is a miss, never an error."""

    def __init__(self, directory: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        self.hits = self.misses = self.discarded = 0
        self._stores = 0
        self.disk_refusal: str | None = None
        self._prepared = False

    def _prepare(self) -> bool:
        if self._prepared:
            return self.disk_refusal is None
        self._prepared = True
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.disk_refusal = self._why_not_private()
        except OSError as error:
            self.disk_refusal = f"cannot use {self.directory}: {error}"
        return self.disk_refusal is None

    def _why_not_private(self) -> str | None:
        status = os.lstat(self.directory)
        if not stat.S_ISDIR(status.st_mode):
            return f"{self.directory} is not a directory of its own (a link, a file?)"
        if not hasattr(os, "getuid"):  # Windows keeps the profile directory private itself
            return None
        if status.st_uid != os.getuid():
            return f"{self.directory} belongs to another user"
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            return f"{self.directory} is open to others (mode {mode:o}); chmod 700 it"
        return None

    def _path(self, key: str) -> Path:
        return self.directory / (key + _SUFFIX)

    def load(self, key: str) -> bytes | None:
        """The object code, or None; a damaged entry is removed."""
        if not self._prepare():
            return None
        path = self._path(key)
        data = self._read_private(path)
        if data is None:
            self.misses += 1
            return None
        payload = _checked_payload(data)
        if payload is None:
            self.discarded += 1
            self.misses += 1
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        self.hits += 1
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use, for eviction
        return payload

    def has(self, key: str) -> bool:
        """Whether there is an entry; it may be damaged."""
        return self._prepare() and self._path(key).is_file()

    def _read_private(self, path: Path) -> bytes | None:
        """The bytes of a regular file of this user's; anything else does not exist for us."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            foreign = hasattr(os, "getuid") and status.st_uid != os.getuid()
            if foreign or not stat.S_ISREG(status.st_mode):
                return None
            return file.read()

    def store(self, key: str, payload: bytes) -> None:
        """Keeps object code for later processes."""
        if not self._prepare() or len(payload) > self.limit_bytes:
            return
        header = _MAGIC + hashlib.sha256(payload).digest() + len(payload).to_bytes(8, "little")
        try:
            descriptor, temporary = tempfile.mkstemp(dir=self.directory, suffix=_UNFINISHED)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(header + payload)
                os.replace(temporary, self._path(key))
            except BaseException:  # an interrupt leaves nothing half-written either
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError:
            return
        self._stores += 1
        if self._stores % _STORES_BETWEEN_SWEEPS == 1:
            # A full directory takes a tenth of a second to list: no step of a program waits for it.
            with contextlib.suppress(RuntimeError):  # the interpreter is on its way out
                threading.Thread(target=self.sweep, name="kernel cache", daemon=True).start()

    def sweep(self) -> None:
        """Removes the longest unused entries until the rest fits the limit."""
        entries = []
        abandoned = time.time() - _SECONDS_TO_WRITE
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.directory):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(_UNFINISHED) and status.st_mtime < abandoned:
                        os.unlink(entry.path)  # its writer was killed
                        continue
                    entries.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size


def _checked_payload(data: bytes) -> bytes | None:
    if len(data) < _HEADER_BYTES or not data.startswith(_MAGIC):
        return None
    digest = data[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
    length = int.from_bytes(data[len(_MAGIC) + _DIGEST_BYTES : _HEADER_BYTES], "little")
    payload = data[_HEADER_BYTES:]
    if len(payload) != length or hashlib.sha256(payload).digest() != digest:
        return None
    return payload


class KernelCache:
    """Loaded libraries by key, backed by a DiskCache; compiles what neither has.

    Beyond ``limit_bytes`` of loaded memory the longest unused libraries are dropped.  Their code is
    freed when the last plan that holds them goes, so whoever calls an address keeps its Library.
    """

    def __init__(
        self, disk: DiskCache | None = None, limit_bytes: int = LOADED_LIMIT_BYTES
    ) -> None:
        self.disk = disk
        self.limit_bytes = limit_bytes
        self.compiles = self.loads = self.evictions = self.loaded_bytes = 0
        self._libraries: OrderedDict[str, tuple[Library, int]] = OrderedDict()
        # Object code that was made beside the program and waits to be asked for.
        self._prepared: dict[str, bytes] = {}
        self._lock = lock_known_to_forks("kernels")

    def get(
        self,
        identity: str,
        names: Sequence[str],
        make_text: Callable[[], str],
        target: Target,
        quick: bool = False,
        imports: Mapping[str, int] | None = None,
    ) -> Library:
        """The library of ``identity``; ``make_text`` gives its LLVM text when it must be made.

        quick: compile it soon rather than well.  imports: see Library.

        The identity must say all that the text depends on except the target: the printed loop
        nest and the code generator's fingerprint, or the text itself.
        """
        key = kernel_key(identity, target)
        with self._lock:
            found = self._libraries.get(key)
            if found is not None:
                self._libraries.move_to_end(key)
                return found[0]
            object_code = self.disk.load(key) if self.disk is not None else None
            if object_code is None:
                object_code = self._prepared.pop(key, None)
                if object_code is None:
                    object_code = compile_text(make_text(), target, quick)
                self.compiles += 1
                if self.disk is not None:
                    self.disk.store(key, object_code)
            else:
                self.loads += 1
            library = Library(object_code, names, imports)
            self._keep(key, library, len(object_code) + LINKED_BYTES)
            return library

    def text(self, identity: str, make_text: Callable[[], bytes], target: Target) -> bytes:
        """Text that a device's driver compiles, kept on disk alone; see `get`."""
        key = kernel_key(identity, target)
        found = self.disk.load(key) if self.disk is not None else None
        if found is not None:
            self.loads += 1
            return found
        made = make_text()
        self.compiles += 1
        if self.disk is not None:
            self.disk.store(key, made)
        return made

    def prepare(self, identity: str, make_text: Callable[[], str], target: Target) -> None:
        """Make the object code of ``identity`` unless it is there: what `get` then only links.

        For threads beside the program (`base/later.py`), none of which waits for it here.
        """
        key = kernel_key(identity, target)
        if key in self._libraries or (self.disk is not None and self.disk.has(key)):
            return
        self._prepared[key] = compile_text(make_text(), target)

    def holds(self, identity: str, target: Target) -> bool:
        """Whether a library is loaded already."""
        return kernel_key(identity, target) in self._libraries

    def _keep(self, key: str, library: Library, code_bytes: int) -> None:
        self._libraries[key] = (library, code_bytes)
        self.loaded_bytes += code_bytes
        while self.loaded_bytes > self.limit_bytes and len(self._libraries) > 1:
            _, (_, dropped) = self._libraries.popitem(last=False)
            self.loaded_bytes -= dropped
            self.evictions += 1


@functools.cache
def process_cache() -> KernelCache:
    """The cache of this process, backed by the user's directory."""
    return KernelCache(DiskCache(default_directory()))
