"""Models and weights from elsewhere: local folders, archives of GitHub, files at URLs.  Level 12.

In: a folder with a `hubconf.py`, or `owner/repository[:branch]`; a URL of weights. Out: what its
functions return; loaded state. A repository's code is run only if it was trusted before, on the
user's word. Archives are unpacked by names that stay inside their folder; files are written under
a temporary name and moved when complete and of the right hash. Source: torch.hub.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse  # noqa: F401 - programs take it from here

from rushlight.serialization.loading import load as load_file

__all__ = [
    "download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url",
    "set_dir",
]  # fmt: skip

#: First digits of a file's SHA-256, as they stand in names such as resnet18-5c106cde.pth.
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
MODULE_HUBCONF = "hubconf.py"
VAR_DEPENDENCY = "dependencies"
READ_DATA_CHUNK = 128 * 1024
_PARTIAL = ".partial"
_TRUSTED_BY_DEFAULT = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")
_NAME = re.compile(r"[\w.-]+")

_hub_dir: str | None = None


def get_dir() -> str:
    """Where repositories and checkpoints are kept: `set_dir`'s, or $TORCH_HOME/hub."""
    return os.path.join(_get_torch_home(), "hub") if _hub_dir is None else _hub_dir


def _get_torch_home() -> str:
    """The folder of all that is fetched: $TORCH_HOME, or one among the user's caches."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike) -> None:
    """Keep things in another folder from now on."""
    global _hub_dir
    _hub_dir = os.path.expanduser(os.fspath(d))


# ---- files ---------------------------------------------------------------------------------------


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a URL into a file.

    The bytes go into `dst.<...>.partial` first. If a transfer breaks off, the next call asks the
    server for the rest, where the hash can tell whether the whole fits.
    hash_prefix: the first digits of the content's SHA-256.
    Raises: RuntimeError if the hash is another; URLError as urllib.
    """
    target = os.path.expanduser(dst)
    partial = target + (f".{hash_prefix}" if hash_prefix else "") + _PARTIAL
    resumes = bool(hash_prefix) and os.path.exists(partial)
    digest = hashlib.sha256()
    if resumes:
        with open(partial, "rb") as file:
            for chunk in iter(lambda: file.read(READ_DATA_CHUNK), b""):
                digest.update(chunk)
    have = os.path.getsize(partial) if resumes else 0
    headers = {"User-Agent": "torch.hub"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        if not have or error.code != 416:  # 416: nothing is left to be sent
            raise
        response = None
    if response is not None:
        with response:
            if have and getattr(response, "status", None) != 206:  # the server sends all again
                have, digest = 0, hashlib.sha256()
            _receive(response, partial, have, digest, progress)
    if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
        os.remove(partial)
        raise RuntimeError(
            f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}") of {url}'
        )
    os.replace(partial, target)


def _receive(response: Any, partial: str, have: int, digest: Any, progress: bool) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    received = have
    shown = -1
    with open(partial, "ab" if have else "wb") as file:
        while True:
            chunk = response.read(READ_DATA_CHUNK)
            if not chunk:
                break
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if progress and total:
                percent = 100 * received // total
                if percent != shown:
                    shown = percent
                    sys.stderr.write(f"\r{percent:3d}% of {total / 1e6:.1f} MB")
                    sys.stderr.flush()
    if progress and total:
        sys.stderr.write("\n")
    if total is not None and received < total:
        raise urllib.error.ContentTooShortError(
            f"retrieval incomplete: got only {received} out of {total} bytes",
            None,  # type: ignore[arg-type]
        )


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """The object in a file at a URL, fetched once and kept in `model_dir`.

    check_hash: the file's name must contain the first digits of its SHA-256, `name-<digits>.pth`.
    Files that are zip archives of one file (older ones) are unpacked. The content is read by the
    restricted reader of `load` unless `weights_only` is False.
    Raises: RuntimeError if the hash is another; UnpicklingError as `load`.
    """
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlparse(url).path)
    if not name or name in (".", "..") or os.path.basename(name) != name:
        raise ValueError(f"load_state_dict_from_url: {name!r} is no file name; pass file_name")
    cached = os.path.join(folder, name)
    if not os.path.exists(cached):
        sys.stderr.write(f'Downloading: "{url}" to {cached}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, cached, found.group(1) if found else None, progress)
    if _is_legacy_archive(cached):
        cached = _only_member(cached, folder)
    return load_file(cached, map_location=map_location, weights_only=weights_only)


def _is_legacy_archive(path: str) -> bool:
    """Whether a file is a zip that contains one saved file, rather than a saved file itself."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    return len(members) == 1 and not members[0].filename.endswith("data.pkl")


def _only_member(path: str, folder: str) -> str:
    warnings.warn(
        "Falling back to the old format < 1.6. This support will be deprecated in favor of default "
        "zipfile format introduced in 1.6. Please redo torch.save() to save it in the new format.",
        stacklevel=3,
    )
    with zipfile.ZipFile(path) as archive:
        _unpack(archive, folder)
        return os.path.join(folder, archive.infolist()[0].filename)


def _unpack(archive: zipfile.ZipFile, folder: str) -> None:
    """Unpack below a folder.  Raises: ValueError if a name leads out of it."""
    root = os.path.realpath(folder)
    for member in archive.infolist():
        target = os.path.realpath(os.path.join(root, member.filename))
        if os.path.commonpath([root, target]) != root:
            raise ValueError(f"hub: the archive's {member.filename!r} would lie outside {folder}")
    archive.extractall(folder)


# ---- repositories --------------------------------------------------------------------------------


def list(
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
    verbose: bool = True,
) -> Any:
    """The names of a repository's models: the public functions of its `hubconf.py`."""
    folder = _repository(github, force_reload, trust_repo, "list", verbose, skip_validation)
    module = _hubconf(folder)
    return [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]


def help(
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
) -> str | None:
    """The docstring of a repository's model."""
    folder = _repository(github, force_reload, trust_repo, "help", True, skip_validation)
    return _entry(_hubconf(folder), model).__doc__


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: bool | str | None = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What the function `model` of a repository's `hubconf.py` returns for the arguments.

    source: "github" for `owner/repository[:branch or tag]`, "local" for a folder.
    trust_repo: whether the repository's code may be run; "check" asks, once for each.
    Raises: ValueError for another source; RuntimeError if there is no such model, or a package
        that the repository names is missing.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    folder = repo_or_dir
    if source == "github":
        folder = _repository(
            repo_or_dir, force_reload, trust_repo, "load", verbose, skip_validation
        )
    return _entry(_hubconf(os.path.expanduser(folder)), model)(*args, **kwargs)


def _hubconf(folder: str) -> ModuleType:
    """The module `hubconf.py` of a folder, run with that folder first in the search path."""
    path = os.path.join(folder, MODULE_HUBCONF)
    if not os.path.exists(path):
        raise FileNotFoundError(
            errno.ENOENT, f"hub: {folder} has no {MODULE_HUBCONF}; is it the right folder?", path
        )
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location(MODULE_HUBCONF, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    missing = [name for name in getattr(module, VAR_DEPENDENCY, ()) if not _has_package(name)]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module


def _has_package(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _entry(module: ModuleType, model: str) -> Callable[..., Any]:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    function = vars(module).get(model)
    if not callable(function):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return function


def _parse(github: str) -> tuple[str, str, str | None]:
    """Owner, repository and branch or tag.  Raises: ValueError for other text."""
    place, _, ref = github.partition(":")
    owner, _, name = place.partition("/")
    if not _NAME.fullmatch(owner) or not _NAME.fullmatch(name) or {owner, name} & {".", ".."}:
        raise ValueError(
            f"hub: {github!r} is not of the form owner/repository or owner/repository:branch"
        )
    if ref and (".." in ref or not re.fullmatch(r"[\w./-]+", ref)):
        raise ValueError(f"hub: {ref!r} is no name of a branch or tag")
    return owner, name, ref or None


def _repository(
    github: str,
    force_reload: bool,
    trust_repo: bool | str | None,
    caller: str,
    verbose: bool,
    skip_validation: bool,
) -> str:
    """The folder with a repository's content, fetched if it is not there."""
    owner, name, ref = _parse(github)
    home = get_dir()
    os.makedirs(home, exist_ok=True)
    ref = ref or _default_branch(home, owner, name)
    folder = os.path.join(home, "_".join([owner, name, ref.replace("/", "_")]))
    _require_trust(home, owner, name, trust_repo, caller)
    if os.path.exists(folder) and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    url = f"https://github.com/{owner}/{name}/zipball/{ref}"
    with tempfile.TemporaryDirectory(dir=home) as temporary:
        archive_path = os.path.join(temporary, "archive.zip")
        sys.stderr.write(f'Downloading: "{url}" to {folder}\n')
        download_url_to_file(url, archive_path, progress=False)
        content = os.path.join(temporary, "content")
        with zipfile.ZipFile(archive_path) as archive:
            _unpack(archive, content)
        (top,) = os.listdir(content)  # GitHub puts all into one folder
        if os.path.exists(folder):
            shutil.rmtree(folder)
        shutil.move(os.path.join(content, top), folder)
    return folder


def _default_branch(home: str, owner: str, name: str) -> str:
    """main or master: what is kept, or else what GitHub has."""
    for branch in ("main", "master"):
        if os.path.exists(os.path.join(home, f"{owner}_{name}_{branch}")):
            return branch
    request = urllib.request.Request(
        f"https://github.com/{owner}/{name}/tree/main/", headers={"User-Agent": "torch.hub"}
    )
    try:
        with urllib.request.urlopen(request):
            return "main"
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return "master"
        raise
    except urllib.error.URLError as error:
        raise RuntimeError(
            f"hub: there is no internet connection and the repository {owner}/{name} could not be "
            f"found in the cache ({home})"
        ) from error


def _require_trust(
    home: str, owner: str, name: str, trust_repo: bool | str | None, caller: str
) -> None:
    """Ask before code of strangers is run.  Raises: Exception if the answer is no."""
    if trust_repo not in (True, False, None, "check"):
        raise ValueError(
            f"hub.{caller}: trust_repo must be True, False, None or 'check', got {trust_repo!r}"
        )
    path = Path(home, "trusted_list")
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    full = f"{owner}_{name}"
    if full in known or owner in _TRUSTED_BY_DEFAULT:
        return
    if trust_repo is None:
        warnings.warn(
            "You are about to download and run code from an untrusted repository. To remove this "
            f"warning, pass trust_repo=True or 'check' to hub.{caller}({owner}/{name}).",
            stacklevel=4,
        )
        return
    if trust_repo is not True:
        answer = input(
            f"The repository {owner}_{name} does not belong to the list of trusted repositories "
            "and as such cannot be downloaded. Do you trust this repository and wish to add it to "
            "the trusted list of repositories (y/N)?"
        )
        if answer.lower() not in ("y", "yes"):
            raise Exception("Untrusted repository.")  # PyTorch's own type
    with path.open("a", encoding="utf-8") as file:
        file.write(full + "\n")
