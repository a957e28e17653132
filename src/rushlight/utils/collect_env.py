"""What a report of a bug says of the machine: `python -m torch.utils.collect_env`.  Level 12."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import NamedTuple

from rushlight.base.threads import usable_cores
from rushlight.engine import cuda
from rushlight.version import __version__

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main"]

_PACKAGES = ("numpy", "llvmlite", "torch", "torchvision", "transformers", "lightning", "onnx")


class SystemEnv(NamedTuple):
    """The facts, as text."""

    torch_version: str
    os: str
    python_version: str
    python_platform: str
    cpu_info: str
    is_cuda_available: str
    pip_packages: str


def get_env_info() -> SystemEnv:
    """The facts of this machine and environment."""
    return SystemEnv(
        f"rushlight {__version__}",
        f"{platform.system()} {platform.release()}",
        f"{sys.version.splitlines()[0]} ({sys.maxsize.bit_length() + 1}-bit runtime)",
        platform.platform(),
        f"{platform.machine()}, {usable_cores()} cores",
        str(bool(cuda.backends())),
        "\n".join(_installed()),
    )


def _installed() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"[pip3] {name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def get_pretty_env_info() -> str:
    """The facts in lines."""
    info = get_env_info()
    return (
        f"PyTorch version: {info.torch_version}\nOS: {info.os}\n"
        f"Python version: {info.python_version}\nPython platform: {info.python_platform}\n"
        f"CPU: {info.cpu_info}\nIs CUDA available: {info.is_cuda_available}\n\n"
        f"Versions of relevant libraries:\n{info.pip_packages}"
    )


def main() -> None:
    """Print them."""
    sys.stdout.write(f"Collecting environment information...\n{get_pretty_env_info()}\n")


if __name__ == "__main__":
    main()
