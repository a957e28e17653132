"""One table of the RUSHLIGHT_* environment settings: name, default, meaning.  Level 0."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rushlight.base.hot import hot


def _level_and_filter(text: str) -> tuple[int, str]:
    """`4` or `4:softmax`."""
    level, _, kernels = text.partition(":")
    return int(level), kernels.strip()


_TABLE: dict[str, tuple[Any, Callable[[str], Any], str]] = {
    # name: (default, parser, meaning)
    "RUSHLIGHT_DEBUG": ((0, ""), _level_and_filter, "1: flushes and memo misses with reasons; 2: "
                        "kernels with their times; 3: tapes and fused groups; 4: loop nests; 5: "
                        "LLVM IR; 6: assembly.  4:softmax: only kernels with that in the name"),
    "RUSHLIGHT_EAGER": (0, int, "1: flush after each operation"),
    "RUSHLIGHT_BLOCKS": (1, int, "0: record backward, updates and losses operation by operation"),
    "RUSHLIGHT_EXECUTOR": ("compiled", str, "what runs a flushed tape: compiled or reference"),
    "RUSHLIGHT_VERIFY": (0, int, "1: check what every stage of the compiler gives"),
    "RUSHLIGHT_CACHE_DIR": ("", str, "folder of compiled kernels; default: in the user's cache"),
    "RUSHLIGHT_NODE_CAP": (16384, int, "most operations recorded before a flush"),
    "RUSHLIGHT_BYTE_BUDGET": (0, int, "bytes of operands that only the tape keeps alive before a "
                              "flush; 0: an eighth of the machine's memory"),
    "RUSHLIGHT_SELFCOMPILE": ("auto", str, "whether recording itself becomes machine code: auto "
                              "(once a program has run for a second), 1 (at once) or 0 (never)"),
    "RUSHLIGHT_CUDA": ("auto", str, "CUDA devices: auto (cards, where their driver is there), "
                       "emulated (one device for tests, which runs on the CPU) or off"),
    "RUSHLIGHT_XPU": ("auto", str, "devices of OpenCL, as xpu: auto (Intel's GPUs), opencl (every "
                      "device that shares virtual memory, processors too) or off"),
    "RUSHLIGHT_MPS": ("auto", str, "Apple's GPUs by Metal, as mps: auto or off"),
    "RUSHLIGHT_REPLAY": ("1", str, "whether functions under torch.compile are replayed without "
                         "their Python: 1, 0 (never) or verify (always both, compared)"),
    "RUSHLIGHT_MEMO_BYTES": (128 << 20, int, "bytes of recordings, of their plans, and of what is "
                             "known of programs, each; the longest unused are forgotten first"),
}  # fmt: skip

SELFCOMPILE = ("auto", "1", "0")
EMULATED, OPENCL, OFF = "emulated", "opencl", "off"
# Setting of a kind of device -> what it may be.
DEVICES = {
    "RUSHLIGHT_CUDA": ("auto", EMULATED, OFF),
    "RUSHLIGHT_XPU": ("auto", OPENCL, OFF),
    "RUSHLIGHT_MPS": ("auto", OFF),
}
REPLAY = ("1", "0", "verify")
EXECUTORS = ("compiled", "reference")


@hot
class Config:
    """Settings, read from the environment once; tests change the attributes directly."""

    __slots__ = (
        "debug", "debug_kernels", "eager", "verify", "blocks", "executor", "node_cap",
        "byte_budget", "memo_bytes", "selfcompile", "cuda", "xpu", "mps", "replay",
    )  # fmt: skip

    def __init__(self) -> None:
        values: dict[str, Any] = {}
        for name, (default, parse, meaning) in _TABLE.items():
            text = os.environ.get(name, "")
            try:
                values[name] = parse(text) if text else default
            except ValueError:
                raise ValueError(f"{name}={text!r} is not understood ({meaning})") from None
        self.debug: int
        self.debug_kernels: str  # only kernels with this in their name are shown
        self.debug, self.debug_kernels = values["RUSHLIGHT_DEBUG"]
        self.eager: bool = bool(values["RUSHLIGHT_EAGER"])
        self.verify: bool = bool(values["RUSHLIGHT_VERIFY"])
        self.blocks: bool = bool(values["RUSHLIGHT_BLOCKS"])
        self.executor: str = values["RUSHLIGHT_EXECUTOR"]
        self.node_cap: int = values["RUSHLIGHT_NODE_CAP"]
        self.byte_budget: int = values["RUSHLIGHT_BYTE_BUDGET"] or _eighth_of_memory()
        self.memo_bytes: int = values["RUSHLIGHT_MEMO_BYTES"]
        self.selfcompile: str = values["RUSHLIGHT_SELFCOMPILE"]
        self.replay: str = values["RUSHLIGHT_REPLAY"]
        if self.replay not in REPLAY:
            raise ValueError(f"RUSHLIGHT_REPLAY={self.replay!r} is not one of {', '.join(REPLAY)}")
        if self.selfcompile not in SELFCOMPILE:
            raise ValueError(
                f"RUSHLIGHT_SELFCOMPILE={self.selfcompile!r} is not one of {', '.join(SELFCOMPILE)}"
            )
        self.cuda: str = values["RUSHLIGHT_CUDA"]
        self.xpu: str = values["RUSHLIGHT_XPU"]
        self.mps: str = values["RUSHLIGHT_MPS"]
        for name, known in DEVICES.items():
            if values[name] not in known:
                raise ValueError(f"{name}={values[name]!r} is not one of {', '.join(known)}")
        if self.executor not in EXECUTORS:
            raise ValueError(
                f"RUSHLIGHT_EXECUTOR={self.executor!r} is not one of {', '.join(EXECUTORS)}"
            )


def _eighth_of_memory() -> int:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        total = 8 << 30
    return max(total // 8, 256 << 20)


config = Config()
