"""`rushlight torch`: rushlight in PyTorch's place, for a whole environment.

In: `install`, `remove` or `status`.  Out: a package `torch` with its metadata in the environment's
site-packages, so that plain `python train.py`, notebooks and `pip install lightning` find it;
without it again; or a line that says what is there.  An environment that has PyTorch is left
alone.  Level 14.
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

from rushlight.cli.alias import ALIAS, metadata_text
from rushlight.torch_version import INTERFACE

ACTIONS = ("install", "remove", "status")
# The first line of the package tells whose it is.
MARK = '"""rushlight in the place of PyTorch; `rushlight torch remove` takes it away."""\n'
PACKAGE = f"""{MARK}
import sys

try:
    import rushlight
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "this torch is rushlight's, and rushlight is not installed in this environment: "
        "install rushlight, or remove what stands for torch with `pip uninstall torch`",
        name="torch",
    ) from error
from rushlight.cli import alias

alias.install()
sys.modules["torch"] = rushlight
"""


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
        return f"torch is PyTorch {theirs}; rushlight is in its place under `rushlight run` only"
    return "torch is not there; `rushlight torch install` puts rushlight in its place"


def install(place: Path, outside_environment: bool = False) -> str:
    """Put the package and its metadata into `place`.

    Raises: Refused where PyTorch is installed, or outside a virtual environment.
    """
    theirs = pytorch_version(place)
    if theirs is not None:
        raise Refused(
            f"PyTorch {theirs} is installed here and stays; use another environment, or"
            " `pip uninstall torch` first"
        )
    if not outside_environment and not _is_environment():
        raise Refused(
            f"{sys.prefix} is no virtual environment, and everything that uses this Python would"
            " be concerned; make one with `python -m venv`, or add --outside-environment"
        )
    again = is_ours(place / ALIAS)
    remove(place)
    package, information = _names()
    place.mkdir(parents=True, exist_ok=True)
    files = {f"{package}/__init__.py": PACKAGE} | {
        f"{information}/{name}": text
        for name, text in (
            ("METADATA", metadata_text(ALIAS)),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: rushlight\nTag: py3-none-any\n"),
            ("INSTALLER", "rushlight\n"),
            ("top_level.txt", f"{ALIAS}\n"),
        )
    }
    files[f"{information}/RECORD"] = _record(files, f"{information}/RECORD")
    # Whole folders get their names at the end, so that an interrupt leaves nothing half there.
    for folder in (package, information):
        partial = place / f"~{folder}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, text in files.items():
            if name.startswith(f"{folder}/"):
                (partial / name.partition("/")[2]).write_text(text, encoding="utf-8")
    for folder in (package, information):
        os.replace(place / f"~{folder}.partial", place / folder)
    return f"torch is {'still' if again else 'now'} rushlight ({INTERFACE}) in {place}"


def remove(place: Path) -> str:
    """Take away what `install` put there; what is not ours stays."""
    theirs = pytorch_version(place)
    if theirs is not None:
        raise Refused(f"torch is PyTorch {theirs} here, which is not rushlight's to remove")
    there = is_ours(place / ALIAS)
    for folder in (*_names(), *(f"~{name}.partial" for name in _names())):
        shutil.rmtree(place / folder, ignore_errors=True)
    for information in _informations(place):
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
    """The version of a `torch` in `place` that is not rushlight's; None if there is none."""
    for distribution in importlib.metadata.distributions(name=ALIAS, path=[str(place)]):
        if "+rushlight" not in distribution.version:
            return distribution.version
    package = place / ALIAS
    if package.exists() and not is_ours(package):
        return "of an unknown version"
    return None


def _names() -> tuple[str, str]:
    return ALIAS, f"{ALIAS}-{INTERFACE}.dist-info"


def _informations(place: Path) -> list[Path]:
    """Metadata of this and of other versions of rushlight."""
    return list(place.glob(f"{ALIAS}-*+rushlight*.dist-info"))


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
