"""Files from the network: downloaded, resumed, checked, unpacked.

In: addresses and checksums.  Out: files on disk.  What comes from elsewhere is hostile until
checked: a checksum is compared before a file gets its name, and an archive may only write below
its folder, without links, and not more than it says.  Level 14.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import re
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import rushlight as rl

try:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
except ImportError:
    Progress = None  # type: ignore[assignment,misc]

USER_AGENT = "rushlight/vision"
CHUNK = 1 << 18
# An archive that unpacks to more than this many times its size, and to more than this many bytes,
# is a bomb: photographs and labels do not compress so.
MOST_RATIO, SMALL_ARCHIVE = 200, 1 << 30
_HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not the one that was expected."""


def calculate_md5(fpath: Any, chunk_size: int = CHUNK) -> str:
    """The MD5 sum of a file, in hexadecimal."""
    return _digest(fpath, hashlib.md5(usedforsecurity=False), chunk_size)


def _digest(path: Any, sum_: Any, chunk_size: int = CHUNK) -> str:
    with open(path, "rb") as file:
        while chunk := file.read(chunk_size):
            sum_.update(chunk)
    return sum_.hexdigest()


def check_md5(fpath: Any, md5: str, **kwargs: Any) -> bool:
    """Whether the file has this MD5 sum."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath: Any, md5: str | None = None) -> bool:
    """Whether the file is there, with this MD5 sum if one is given."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


@contextlib.contextmanager
def _bar(title: str, total: int, done: int, wanted: bool) -> Iterator[Any]:
    """A function that counts bytes: a bar where rich is installed, else one line at the end."""
    if not wanted:
        yield lambda count: None
    elif Progress is not None and sys.stderr.isatty():
        with Progress(
            "{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn(),
            transient=True,
        ) as progress:  # fmt: skip
            task = progress.add_task(title, total=total or None, completed=done)
            yield lambda count: progress.advance(task, count)
    else:
        counted = [done]

        def count_up(count: int) -> None:
            counted[0] += count

        yield count_up
        sys.stderr.write(f"{title}: {counted[0] / 1e6:.1f} MB\n")


def fetch(url: str, target: Path, progress: bool = True, attempts: int = 3) -> None:
    """Write what is at `url` to `target`, going on where an earlier try stopped.

    The bytes go to a file beside it, whose name ends in `.part`, until all are there.
    Raises: DownloadError that says what failed and what to do.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    error: Exception | None = None
    for _ in range(attempts):
        try:
            _fetch_once(url, part, target.name, progress)
        except urllib.error.HTTPError as failure:
            if failure.code == 416:  # nothing beyond what is there
                break
            raise DownloadError(
                f"{url}: the server answers {failure.code} {failure.reason}"
            ) from failure
        except (urllib.error.URLError, OSError, EOFError) as failure:
            error = failure
            continue
        break
    else:
        raise DownloadError(
            f"{url} could not be fetched ({error}); is there a network? What has come so far is"
            f" kept: run again, or put the file at {target} by hand"
        ) from error
    os.replace(part, target)


def _fetch_once(url: str, part: Path, title: str, progress: bool) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": USER_AGENT}
    if done:
        headers["Range"] = f"bytes={done}-"
    if urlparse(url).scheme not in ("http", "https", "ftp", "file"):
        raise DownloadError(f"{url}: only http, https, ftp and file addresses are fetched")
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        resumed = done and getattr(response, "status", None) == 206
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else 0
        with (
            open(part, "ab" if resumed else "wb") as file,
            _bar(title, total, done, progress) as count,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                count(len(chunk))
            if total and file.tell() < total:
                raise EOFError(f"the connection ended after {file.tell()} of {total} bytes")


def download_url(
    url: str, root: Any, filename: Any = None, md5: str | None = None,
    max_redirect_hops: int = 3, progress: bool = True,
) -> None:  # fmt: skip
    """Fetch a file into `root`, unless it is there with the right sum.

    Raises: DownloadError (a RuntimeError) without a network, and for another MD5 sum.
    """
    name = filename or os.path.basename(urlparse(url).path)
    target = Path(os.path.expanduser(root)) / name
    if check_integrity(target, md5):
        return
    fetch(url, target, progress)
    if not check_integrity(target, md5):
        target.unlink()
        raise DownloadError(f"File not found or corrupted: {url} has another MD5 sum than {md5}")


# ---- archives ----------------------------------------------------------------------------------


def _safe(root: Path, name: str) -> Path:
    target = (root / name).resolve()
    if not target.is_relative_to(root):
        raise DownloadError(f"archive: {name!r} would be written outside of {root}; refused")
    return target


def _check_size(archive: Path, total: int) -> None:
    if total > SMALL_ARCHIVE and total > MOST_RATIO * archive.stat().st_size:
        raise DownloadError(
            f"{archive.name} would unpack to {total} bytes from {archive.stat().st_size}; refused"
        )


def _extract_tar(archive: Path, root: Path) -> None:
    with tarfile.open(archive, "r:*") as tar:
        total = 0
        for member in tar:
            target = _safe(root, member.name)
            total += member.size
            _check_size(archive, total)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            if member.islnk() or member.issym():
                _safe(root, os.path.join(os.path.dirname(member.name), member.linkname))
            source = (
                tar.extractfile(member)
                if member.isreg() or member.issym() or member.islnk()
                else None
            )
            if source is None:
                raise DownloadError(f"archive: {member.name!r} is no plain file; refused")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, CHUNK)


def _extract_zip(archive: Path, root: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        _check_size(archive, sum(member.file_size for member in members))
        for member in members:
            target = _safe(root, member.filename)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(member) as source, open(target, "wb") as file:
                _copy_at_most(source, file, member.file_size, member.filename)


def _copy_at_most(source: IO[bytes], file: IO[bytes], limit: int, name: str) -> None:
    written = 0
    while chunk := source.read(CHUNK):
        written += len(chunk)
        if written > limit:
            raise DownloadError(f"archive: {name!r} unpacks to more than it says; refused")
        file.write(chunk)


_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def extract_archive(from_path: Any, to_path: Any = None, remove_finished: bool = False) -> Any:
    """Unpack a .tar (also .gz, .bz2, .xz), a .zip, or one compressed file; returns where.

    Raises: DownloadError for archives that would write elsewhere or too much, RuntimeError for
    other kinds of files.
    """
    source = Path(from_path)
    root = Path(to_path if to_path is not None else source.parent)
    name = source.name.lower()
    if name.endswith((".tar", ".tgz", ".tbz", ".tbz2", ".tar.gz", ".tar.bz2", ".tar.xz", ".txz")):
        root.mkdir(parents=True, exist_ok=True)
        _extract_tar(source, root.resolve())
    elif name.endswith(".zip"):
        root.mkdir(parents=True, exist_ok=True)
        _extract_zip(source, root.resolve())
    elif source.suffix.lower() in _OPENERS:
        return _decompress(source, to_path, remove_finished)
    else:
        raise RuntimeError(f"Unknown compression or archive type: {''.join(source.suffixes)!r}")
    if remove_finished:
        source.unlink()
    return to_path if to_path is not None else str(source.parent)


def _decompress(source: Path, to_path: Any, remove_finished: bool) -> Any:
    target = Path(to_path) if to_path is not None else source.with_suffix("")
    if target.is_dir():
        target = target / source.with_suffix("").name
    limit = max(SMALL_ARCHIVE, MOST_RATIO * source.stat().st_size)
    with _OPENERS[source.suffix.lower()](source, "rb") as packed, open(target, "wb") as file:
        _copy_at_most(packed, file, limit, source.name)  # type: ignore[arg-type]
    if remove_finished:
        source.unlink()
    return str(target)


def download_and_extract_archive(
    url: str, download_root: Any, extract_root: Any = None, filename: Any = None,
    md5: str | None = None, remove_finished: bool = False,
) -> None:  # fmt: skip
    """`download_url`, then `extract_archive`."""
    root = Path(os.path.expanduser(download_root))
    name = filename or os.path.basename(urlparse(url).path)
    download_url(url, root, name, md5)
    extract_archive(root / name, root if extract_root is None else extract_root, remove_finished)


# ---- weights -----------------------------------------------------------------------------------


def load_state_dict_from_url(
    url: str, model_dir: Any = None, map_location: Any = None, progress: bool = True,
    check_hash: bool = False, file_name: str | None = None, weights_only: bool = True,
) -> Any:  # fmt: skip
    """The tensors of a file at `url`, which is kept below `$TORCH_HOME/hub/checkpoints`.

    check_hash: compare the start of the file's SHA-256 sum with the one in its name.
    Raises: DownloadError without a network or for another sum.
    """
    home = os.getenv("TORCH_HOME") or os.path.join(
        os.getenv("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "torch"
    )
    folder = Path(model_dir) if model_dir is not None else Path(home) / "hub" / "checkpoints"
    target = folder / (file_name or os.path.basename(urlparse(url).path))
    if not target.exists():
        fetch(url, target, progress)
        expected = _HASH_IN_NAME.search(target.name) if check_hash else None
        if expected is not None and not _digest(target, hashlib.sha256()).startswith(expected[1]):
            target.unlink()
            raise DownloadError(f"{url}: the file's SHA-256 sum does not start with {expected[1]}")
    return rl.load(target, map_location=map_location or "cpu", weights_only=weights_only)
