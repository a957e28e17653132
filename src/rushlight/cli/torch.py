"""`rushlight torch`: rushlight in PyTorch's place, for a whole environment.

In: `install`, `remove` or `status`.  Out: packages `torch` and `torchvision` with their metadata in
the environment's site-packages, so that plain `python train.py`, notebooks and
`pip install lightning` find them; without them again; or a line that says what is there.  An
environment that has either of PyTorch's own is left alone.  Level 14.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from rushlight.cli.alias import ALIAS, TARGETS, VERSIONS, metadata_text
from rushlight.torch_version import INTERFACE

ACTIONS = ("install", "remove", "status")
# The first line of the package tells whose it is.
MARK = '"""rushlight in the place of PyTorch; `rushlight torch remove` takes it away."""\n'


def package_text(name: str) -> str:
    """The `__init__.py` that stands for a package."""
    return f'''{MARK}
import importlib
import sys

try:
    from rushlight.cli import alias
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "this {name} is rushlight's, and rushlight is not installed in this environment: "
        "install rushlight, or remove what stands for it with `pip uninstall {name}`",
        name="{name}",
    ) from error

alias.install()
sys.modules["{name}"] = importlib.import_module("{TARGETS[name]}")
'''


class Refused(Exception):
    """Nothing was changed; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `rushlight torch`."""
    parser.add_argument("action", choices=ACTIONS, help="what to do in this environment")
    parser.add_argument(
        "--outside-environment",
        action="store_true",
        help="install although this Python is the system's, not a virtual environment's",
    )


def run(options: argparse.Namespace) -> int:
    """Do it; returns 0, or 1 if it was refused."""
    place = Path(sysconfig.get_path("purelib"))
    try:
        if options.action == "install":
            print(install(place, options.outside_environment))
        elif options.action == "remove":
            print(remove(place))
        else:
            print(status(place))
    except (Refused, OSError) as error:
        print(f"rushlight torch {options.action}: {error}", file=sys.stderr)
        return 1
    return 0


def status(place: Path) -> str:
    """One line on what `torch` is in the environment whose site-packages is `place`."""
    if is_ours(place / ALIAS):
        return f"torch is rushlight ({INTERFACE}) in {place}"
    theirs = pytorch_version(place)
    if theirs is not None:
        return f"{theirs} is here; rushlight is in its place under `rushlight run` only"
    return "torch is not there; `rushlight torch install` puts rushlight in its place"


def install(place: Path, outside_environment: bool = False) -> str:
    """Put the package and its metadata into `place`.

    Raises: Refused where PyTorch is installed, or outside a virtual environment.
    """
    theirs = pytorch_version(place)
    if theirs is not None:
        raise Refused(
            f"{theirs} is installed here and stays; use another environment, or uninstall it first"
        )
    if not outside_environment and not _is_environment():
        raise Refused(
            f"{sys.prefix} is no virtual environment, and everything that uses this Python would"
            " be concerned; make one with `python -m venv`, or add --outside-environment"
        )
    again = is_ours(place / ALIAS)
    remove(place)
    place.mkdir(parents=True, exist_ok=True)
    for name in VERSIONS:
        _install_one(place, name)
    return f"torch is {'still' if again else 'now'} rushlight ({INTERFACE}) in {place}"


def _install_one(place: Path, name: str) -> None:
    package, information = _folders(name)
    files = {f"{package}/__init__.py": package_text(name)} | {
        f"{information}/{file}": text
        for file, text in (
            ("METADATA", metadata_text(name)),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: rushlight\nTag: py3-none-any\n"),
            ("INSTALLER", "rushlight\n"),
            ("top_level.txt", f"{name}\n"),
        )
    }
    files[f"{information}/RECORD"] = _record(files, f"{information}/RECORD")
    # Whole folders get their names at the end, so that an interrupt leaves nothing half there.
    for folder in (package, information):
        partial = place / f"~{folder}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for file, text in files.items():
            if file.startswith(f"{folder}/"):
                (partial / file.partition("/")[2]).write_text(text, encoding="utf-8")
    for folder in (package, information):
        os.replace(place / f"~{folder}.partial", place / folder)


def remove(place: Path) -> str:
    """Take away what `install` put there; what is not ours stays."""
    theirs = pytorch_version(place)
    if theirs is not None:
        raise Refused(f"{theirs} is here, which is not rushlight's to remove")
    there = is_ours(place / ALIAS)
    for name in VERSIONS:
        for folder in (*_folders(name), *(f"~{folder}.partial" for folder in _folders(name))):
            shutil.rmtree(place / folder, ignore_errors=True)
        for information in place.glob(f"{name}-*+rushlight*.dist-info"):  # of other versions
            shutil.rmtree(information)
    return "removed: torch is no longer rushlight" if there else "there was nothing to remove"


def is_ours(package: Path) -> bool:
    """Whether a package folder is one that `install` made."""
    try:
        with open(package / "__init__.py", encoding="utf-8") as file:
            return file.readline() == MARK
    except (OSError, UnicodeDecodeError):
        return False


def pytorch_version(place: Path) -> str | None:
    """What there is of PyTorch's own in `place`, with its version; None if there is nothing."""
    for name in VERSIONS:
        known = "PyTorch" if name == ALIAS else name
        for distribution in importlib.metadata.distributions(name=name, path=[str(place)]):
            if "+rushlight" not in distribution.version:
                return f"{known} {distribution.version}"
        package = place / name
        if package.exists() and not is_ours(package):
            return f"{known} of an unknown version"
    return None


def _folders(name: str) -> tuple[str, str]:
    """Its package and its metadata."""
    return name, f"{name}-{VERSIONS[name]}.dist-info"


def _is_environment() -> bool:
    return sys.prefix != sys.base_prefix or os.environ.get("CONDA_PREFIX") == sys.prefix


def _record(files: dict[str, str], own: str) -> str:
    """The list by which pip uninstalls."""
    rows = []
    for name, text in files.items():
        content = text.encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*rows, f"{own},,", ""])
