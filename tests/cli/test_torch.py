"""`rushlight torch`: rushlight in PyTorch's place in an environment, and out of it again."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from rushlight.cli import alias
from rushlight.cli import torch as in_place
from rushlight.torch_version import INTERFACE, TorchVersion
from tests.architecture.layers import LEVELS, LIBRARY_LEVEL

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "site-packages"


def test_installed_it_is_found_by_pip_and_python_and_removed_it_is_gone(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    python = str(tmp_path / "env" / "bin" / "python")
    outer = [path for path in sys.path if path.endswith("site-packages")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE)])}
    # NumPy and llvmlite come after the environment's own packages, PyTorch with them.
    places = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    Path(places, "outer.pth").write_text("\n".join(outer))

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *words], capture_output=True, text=True, env=environment, timeout=100
        )

    done = call("-m", "rushlight", "torch", "install")
    assert (done.returncode, done.stderr) == (0, "")
    program = (
        "import importlib.metadata, torch.nn as nn, torchvision, torch;"
        "assert importlib.metadata.version('torchvision') == '0.29.1+rushlight';"
        "assert torchvision.__name__ == 'rushlight.vision';"
        "print(torch.__name__, importlib.metadata.version('torch'), torch.__version__ >= (2, 1),"
        "nn.Linear(2, 3)(torch.ones(1, 2)).shape)"
    )
    done = call("-c", program)
    assert done.stdout == f"torch {INTERFACE} True torch.Size([1, 3])\n", done.stderr
    assert "is rushlight" in call("-m", "rushlight", "torch", "status").stdout
    assert "still" in call("-m", "rushlight", "torch", "install").stdout
    assert "removed" in call("-m", "rushlight", "torch", "remove").stdout
    assert [path.name for path in Path(places).iterdir() if "torch" in path.name] == []


def test_pytorch_is_left_alone(place: Path) -> None:
    (place / "torch").mkdir(parents=True)
    (place / "torch" / "__init__.py").write_text("__version__ = '2.0'\n")
    (place / "torch-2.0.dist-info").mkdir()
    (place / "torch-2.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.0\n"
    )
    for change in (in_place.install, in_place.remove):
        with pytest.raises(in_place.Refused, match=r"PyTorch 2\.0"):
            change(place)
    assert in_place.status(place).startswith("PyTorch 2.0 is here")
    assert (place / "torch" / "__init__.py").read_text() == "__version__ = '2.0'\n"


def test_the_systems_python_is_left_alone_unless_asked(place: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    with pytest.raises(in_place.Refused, match="--outside-environment"):
        in_place.install(place)
    assert not place.exists()
    assert "now" in in_place.install(place, outside_environment=True)


def test_versions_compare_as_versions() -> None:
    version = TorchVersion("2.13.0+rushlight")
    assert version >= (2, 1) and version > "2.9.1" and version < "2.14" and version != "2.13"
    assert TorchVersion("2.13.0") == (2, 13) and TorchVersion("2.13.0rc1") < "2.13"
    assert version.startswith("2.13") and version.split(".")[0] == "2"
    assert len({version, TorchVersion(str(version))}) == 1


def test_no_folder_of_the_engine_is_a_module_of_torch() -> None:
    engine = {name for name, level in LEVELS.items() if level < LIBRARY_LEVEL}
    assert engine <= alias.INTERNAL
