"""Datasets whose archives have known sums, or that further packages read, are torchvision's."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight.vision.datasets as ours
from tests.vision.beside.further import CASES


def _is_there(path: Any, md5: Any = None, **options: Any) -> bool:
    return os.path.exists(path)


@pytest.fixture
def without_sums(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tiny files are not the published ones; some datasets write notes where they are run."""
    monkeypatch.chdir(tmp_path)
    for name, module in list(sys.modules.items()):
        if name.startswith(("rushlight.vision.datasets", "torchvision.datasets")):
            for check in ("check_integrity", "check_md5"):
                if hasattr(module, check):
                    monkeypatch.setattr(module, check, _is_there)


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (int, str, float)) or value is None:
        return value
    if hasattr(value, "detach"):
        return value.detach().numpy().tolist()
    return [getattr(value, "mode", ""), np.asarray(value).tolist()]


def _made(datasets: Any, root: Path, name: str) -> Any:
    """A dataset on a folder of its own: some write what they found out beside it."""
    plant, build, packages = CASES[name]
    for package in packages:
        pytest.importorskip(package)
    planted = root.parent / "planted"
    if not planted.exists():
        planted.mkdir()
        plant(planted)
    shutil.copytree(planted, root)
    return build(datasets, str(root))


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_is_read(name: str, tmp_path: Path, without_sums: None) -> None:
    made = _made(ours, tmp_path / "ours", name)
    assert len(made) >= 1
    assert _plain(made[len(made) - 1]) == _plain(made[len(made) - 1])


# torchvision's SBU leaves files open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_dataset_gives_what_torchvisions_gives(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    theirs = pytest.importorskip("torchvision.datasets")
    importlib.import_module("torchvision.datasets.utils")
    request.getfixturevalue("without_sums")
    mine, wanted = _made(ours, tmp_path / "ours", name), _made(theirs, tmp_path / "theirs", name)
    assert len(mine) == len(wanted)
    for place in range(len(wanted)):
        assert _plain(mine[place]) == _plain(wanted[place])
    folders = (str(tmp_path / "ours"), str(tmp_path / "theirs"))
    assert repr(mine).replace(*folders) == repr(wanted)
    for fact in ("classes", "class_to_idx", "categories", "targets", "labels"):
        other = getattr(wanted, fact, None)
        if other is not None:
            one = getattr(mine, fact, None)
            assert one == other if isinstance(other, dict) else _plain(one) == _plain(other)


def test_the_base_of_datasets_is_torchvisions() -> None:
    theirs = pytest.importorskip("torchvision.datasets")
    for d in (ours, theirs):
        made = d.VisionDataset("somewhere", transform=abs, target_transform=str)
        assert made.transforms(-3, -3) == (3, "-3")
        with pytest.raises(NotImplementedError):
            len(made)
        with pytest.raises(ValueError, match="transforms"):
            d.VisionDataset("somewhere", transforms=abs, transform=abs)
