"""What this machine is: processor, memory, dependencies, accelerators.

In: the operating system's own tables, and probes that run in a process of their own, because a
broken driver or library can take its process down.  Out: plain data that prints as JSON.
Nothing here computes with rushlight.  Level 14.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rushlight.base.config import EMULATED, config
from rushlight.base.references import NEWEST_PYTHON
from rushlight.engine import cuda, mps, xpu

PROBE_SECONDS = 60
REQUIRED = ("numpy", "llvmlite")
OPTIONAL = {"rich": "progress bars", "torch": "only compared with, never used"}

# The features that decide which kernels a processor can run.
TELLING_FEATURES = (
    "sse4.2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512bf16 avx512fp16 amx-tile amx-bf16"
    " neon asimd fp16 fullfp16 bf16 dotprod i8mm sve sve2"
).split()

LLVM_PROBE = """
import json
import llvmlite, llvmlite.binding as llvm
features = llvm.get_host_cpu_features()
print(json.dumps({
    "llvmlite": llvmlite.__version__,
    "llvm": ".".join(map(str, llvm.llvm_version_info)),
    "cpu": llvm.get_host_cpu_name(),
    "triple": llvm.get_process_triple(),
    "features": sorted(name for name, present in features.items() if present),
}))
"""

# Only the driver's own library is asked; nothing of the CUDA toolkit is needed for that.
CUDA_PROBE = """
import ctypes, ctypes.util, json, os
names = [ctypes.util.find_library("cuda"), "libcuda.so.1", "nvcuda.dll"]
cuda = None
for name in filter(None, names):
    try:
        cuda = ctypes.CDLL(name)
        break
    except OSError:
        pass
report = {"driver_library": cuda is not None, "devices": []}
if cuda is not None:
    report["status"] = cuda.cuInit(0)
    version, count = ctypes.c_int(), ctypes.c_int()
    if report["status"] == 0:
        cuda.cuDriverGetVersion(ctypes.byref(version))
        report["cuda"] = f"{version.value // 1000}.{version.value % 1000 // 10}"
        cuda.cuDeviceGetCount(ctypes.byref(count))
    for index in range(count.value):
        device, size = ctypes.c_int(), ctypes.c_size_t()
        major, minor = ctypes.c_int(), ctypes.c_int()
        name = ctypes.create_string_buffer(256)
        cuda.cuDeviceGet(ctypes.byref(device), index)
        cuda.cuDeviceGetName(name, len(name), device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
        report["devices"].append({
            "name": name.value.decode(),
            "bytes": size.value,
            "capability": f"{major.value}.{minor.value}",
        })
print(json.dumps(report))
"""


@dataclass(frozen=True)
class Accelerator:
    """One kind of accelerator: what was found of it, and why it is not used."""

    kind: str
    found: bool
    what: str
    usable: bool
    reason: str


def _probe(code: str) -> dict:
    """Run `code` in a fresh interpreter; its printed JSON, or {"error": a sentence}."""
    try:
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return {"error": lines[-1]}
    try:
        return json.loads(result.stdout)
    except ValueError:
        return {"error": f"unexpected answer {result.stdout[:80]!r}"}


def _standing(version: tuple[int, int]) -> str:
    """What is known of rushlight on a version of CPython.  That owners of objects are counted
    rightly is measured at each import, which fails otherwise."""
    if version <= NEWEST_PYTHON:
        return "one of the versions that the tests run on"
    newest = ".".join(map(str, NEWEST_PYTHON))
    return f"newer than {newest}, the newest tested; counts of owners were measured and are right"


def python_and_platform() -> dict[str, str]:
    """The interpreter and the operating system."""
    return {
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "tested": _standing(sys.version_info[:2]),
        "executable": sys.executable,
        "platform": platform.platform(),
        "architecture": platform.machine(),
    }


def compiler() -> dict:
    """LLVM's version and what it says of this processor; {"error": ...} if it cannot be loaded."""
    return _probe(LLVM_PROBE)


def processor(llvm: dict) -> dict:
    """Model, cores, features.  `llvm` is what `compiler()` answered."""
    features = llvm.get("features", [])
    return {
        "model": _processor_model(),
        "llvm_name": llvm.get("cpu", "unknown"),
        "hardware_threads": os.cpu_count() or 1,
        "usable_threads": usable_threads(),
        "features": [name for name in TELLING_FEATURES if name in features],
    }


def usable_threads() -> int:
    """How many hardware threads this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "cpu model"):
                return value.strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        try:
            answer = subprocess.run(
                ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
            )
            return answer.stdout.strip() or "unknown"
        except OSError:
            pass
    return platform.processor() or "unknown"


def memory_bytes() -> dict[str, int | None]:
    """Memory of the machine and what is free of it; None where the system does not say."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = None
    available = None
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    except OSError:
        pass
    return {"total": total, "available": available}


def dependencies() -> list[dict]:
    """Name, version and role of each dependency; version None if it is not installed."""
    rows = [_dependency(name, True, "required") for name in REQUIRED]
    return rows + [_dependency(name, False, role) for name, role in OPTIONAL.items()]


def _dependency(name: str, required: bool, role: str) -> dict:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    if version is not None and version.endswith("+rushlight"):
        role = "rushlight in its place, by `rushlight torch install`"
    return {"name": name, "version": version, "required": required, "role": role}


def accelerators() -> list[Accelerator]:
    """What could compute here beside the processor, and why rushlight does or does not use it."""
    found = [_nvidia(), _amd(), _apple(), _opencl()]
    if config.cuda == EMULATED:
        name = cuda.backend().facts.name
        found.append(
            Accelerator("emulated", True, name, True, "RUSHLIGHT_CUDA=emulated asks for it")
        )
    return found


def _opencl() -> Accelerator:
    names = "; ".join(backend.facts.name for backend in xpu.kind.backends())
    if not names:
        return Accelerator("OpenCL", False, "no device that is used", False, xpu.kind.reason())
    return Accelerator(
        "OpenCL", True, names, True, "what is sent to device='xpu' is computed there"
    )


def _nvidia() -> Accelerator:
    report = _probe(CUDA_PROBE)
    files = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    if report.get("devices"):
        what = "; ".join(
            f"{device['name']} ({device['bytes'] / 2**30:.0f} GiB,"
            f" compute capability {device['capability']})"
            for device in report["devices"]
        )
        what += f", driver for CUDA {report['cuda']}"
        if config.cuda == EMULATED:
            return Accelerator("NVIDIA", True, what, False, f"RUSHLIGHT_CUDA={config.cuda} is set")
        usable = bool(cuda.backends())
        reason = "what is sent to device='cuda' is computed there" if usable else cuda.reason()
        return Accelerator("NVIDIA", True, what, usable, reason)
    if report.get("driver_library"):
        status = report.get("status")
        reason = f"its driver reports no device (cuInit returned {status})"
        return Accelerator("NVIDIA", bool(files), "driver library present", False, reason)
    if files:
        reason = "no driver library (libcuda) is installed"
        return Accelerator("NVIDIA", True, f"device files {', '.join(files)}", False, reason)
    return Accelerator("NVIDIA", False, "no driver library, no device file", False, "none found")


def _amd() -> Accelerator:
    if Path("/dev/kfd").exists():
        return Accelerator(
            "AMD", True, "/dev/kfd", False, "rushlight has no code generator for AMD GPUs yet"
        )
    return Accelerator("AMD", False, "no /dev/kfd", False, "none found")


def _apple() -> Accelerator:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        usable = bool(mps.kind.backends())
        reason = "what is sent to device='mps' is computed there" if usable else mps.kind.reason()
        return Accelerator("Apple", True, f"{_processor_model()} GPU", usable, reason)
    return Accelerator("Apple", False, "this is not an Apple silicon Mac", False, "none found")
