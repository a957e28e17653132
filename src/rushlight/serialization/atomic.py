"""Replacing a file at once: its readers find the old content or the new one, never a part.

In: a path and a function that writes to an open file.  Out: the file; and where the process was
killed while it wrote, nothing beside the old one.  On Linux the new content has no name until it
is complete; elsewhere it has one, and who next writes the same file removes what dead processes
left.  Level: serialization (12).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

if sys.platform == "win32":
    fcntl: Any = None
else:
    import fcntl

Write = Callable[[IO[bytes]], None]

# Names of files hold at most 255 bytes; dots, random part and suffix need 26.
_LONGEST_STEM = 200
_SUFFIX = ".partial"
# Without locks a file that was written to this recently may still have a writer.
_SECONDS_UNTOUCHED = 60.0


def write_atomically(path: Any, write: Write) -> None:
    """Replace the file at `path`, or make it, by what `write` writes to the file it is given.

    Raises: RuntimeError if the folder does not exist; what `write` raises, and the old file stays.
    """
    path = os.path.realpath(path)  # a link keeps pointing at the file, which is replaced
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as target:  # a device or a pipe cannot be replaced
            write(target)
        return
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.fsdecode(folder)} does not exist.")
    stem = "." + os.fsencode(name)[:_LONGEST_STEM].decode("utf-8", "ignore") + "."
    folder = os.fsdecode(folder)
    remove_stale(folder, stem)
    descriptor = _open_unnamed(folder)
    if descriptor is None:
        _write_named(folder, stem, path, write)
        return
    with os.fdopen(descriptor, "wb") as target:
        _complete(target, path, write)
        _give_name(target.fileno(), folder, stem, path)


def remove_stale(folder: str, stem: str) -> None:
    """Remove the unfinished files of dead processes whose names begin with `stem`."""
    pattern = re.compile(re.escape(stem) + r"[0-9a-f]{16}" + re.escape(_SUFFIX))
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_dead(entry.path)


def _remove_if_dead(path: str) -> None:
    """Remove an unfinished file unless somebody is still writing it, which a lock shows."""
    if fcntl is None:
        # Windows refuses to remove what is open; a writer closes its file just before renaming it.
        if time.time() - os.stat(path).st_mtime > _SECONDS_UNTOUCHED:
            os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _complete(target: IO[bytes], path: Any, write: Write) -> None:
    """Write all of the file and bring it to the disk, with the permissions it shall have."""
    write(target)
    target.flush()
    os.fsync(target.fileno())
    if hasattr(os, "fchmod"):
        os.fchmod(target.fileno(), _permissions(path))


# ---- a file that has no name while it is written ----------------------------------------------


def _open_unnamed(folder: str) -> int | None:
    """A descriptor of a new file without a name; None where there is no such thing."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        descriptor = os.open(folder, flag | os.O_RDWR, 0o600)
    except OSError:  # this file system has none; if the folder cannot be written, that is said soon
        return None
    _lock(descriptor)
    return descriptor


def _give_name(descriptor: int, folder: str, stem: str, path: Any) -> None:
    with contextlib.suppress(FileExistsError):
        _link(descriptor, path)
        return
    # A link replaces nothing, so the file has a second name for the moment until it is renamed.
    for temporary in _unused_names(folder, stem):
        with contextlib.suppress(FileExistsError):
            _link(descriptor, temporary)
            _replace(temporary, path)
            return


def _link(descriptor: int, path: Any) -> None:
    # Only with a folder's descriptor does every Python follow the link that stands in /proc.
    root = os.open("/", os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=root, follow_symlinks=True)
    finally:
        os.close(root)


# ---- a file that has a name of its own while it is written --------------------------------------


def _write_named(folder: str, stem: str, path: Any, write: Write) -> None:
    descriptor, temporary = _open_named(folder, stem)
    with os.fdopen(descriptor, "wb") as target:
        try:
            _complete(target, path, write)
            if fcntl is not None:  # the lock is held until the name is gone
                _replace(temporary, path)
                return
        except BaseException:
            if fcntl is None:
                target.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    _replace(temporary, path)


def _open_named(folder: str, stem: str) -> tuple[int, str]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for temporary in _unused_names(folder, stem):
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(temporary, flags, 0o600)
            # Between these two steps another writer may have taken it for a dead one's.
            _lock(descriptor)
            if fcntl is None or os.fstat(descriptor).st_nlink:
                return descriptor, temporary
            os.close(descriptor)
    raise AssertionError("names do not run out")


def _unused_names(folder: str, stem: str) -> Iterator[str]:
    while True:
        yield os.path.join(folder, f"{stem}{secrets.token_hex(8)}{_SUFFIX}")


def _lock(descriptor: int) -> None:
    """Hold the lock that says this file has a living writer; the system lets go of it."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # no locks on this file system: nobody removes either
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _replace(temporary: str, path: Any) -> None:
    try:
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _permissions(path: Any) -> int:
    """Those of the file being replaced, or those that a new file would get."""
    if os.path.exists(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
