"""What a code generator must know about one machine: plain data, no probing and no LLVM.

``runtime/host.py`` fills a Target from the machine it runs on; tests build one by hand or narrow
the host's with :func:`without_avx512`.  Everything tuned in code generation (vector width,
register tile, cache blocks) is derived from these fields.  Invariant: results never depend on
the Target, only speed does.  Level 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_AVX512_PREFIX = "avx512"


@dataclass(frozen=True)
class Target:
    """One CPU: what LLVM is told, the vector unit, the caches and the number of cores."""

    triple: str
    cpu: str
    features: tuple[str, ...]  # LLVM's feature strings, each with its sign: "+avx2", "-avx512f"
    vector_bytes: int
    vector_registers: int
    masked_memory: bool  # the unit has mask registers, so a masked tail costs one instruction
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    line_bytes: int
    cores: int

    def __hash__(self) -> int:
        # What is chosen for a machine is looked up by it: the long fields need not be read.
        return hash((self.triple, self.cpu, self.vector_bytes))

    @property
    def architecture(self) -> str:
        """The first part of the triple, as ``x86_64`` or ``aarch64``."""
        return self.triple.split("-", 1)[0]

    @property
    def features_text(self) -> str:
        """The features in the form LLVM takes them."""
        return ",".join(self.features)

    def has(self, feature: str) -> bool:
        """Whether the machine has a feature, by LLVM's name of it."""
        return "+" + feature in self.features

    @property
    def scales_by_powers(self) -> bool:
        """Whether one instruction multiplies a register of 64 bytes by powers of two."""
        return self.vector_bytes == 64 and self.architecture == "x86_64"

    def lanes(self, itemsize: int) -> int:
        """How many elements of this many bytes one vector register holds."""
        return self.vector_bytes // itemsize


def without_avx512(target: Target) -> Target:
    """The same x86 machine with its AVX-512 unit masked away: 16 registers of 32 bytes."""
    kept = [f for f in target.features if not f[1:].startswith(_AVX512_PREFIX)]
    known = {f[1:] for f in target.features}
    masked = sorted(f for f in known if f.startswith(_AVX512_PREFIX))
    # LLVM derives AVX10 and AMX from other flags and would bring 512-bit registers back.
    masked += [f for f in sorted(known) if f.startswith(("avx10", "evex512"))]
    kept = [f for f in kept if not f[1:].startswith(("avx10", "evex512"))]
    return replace(
        target,
        cpu="x86-64-v3",
        features=tuple(kept) + tuple("-" + name for name in masked),
        vector_bytes=32,
        vector_registers=16,
        masked_memory=False,
    )


def neon_target(cores: int = 4) -> Target:
    """A generic 64-bit ARM machine, for emitting code where none is at hand."""
    return Target(
        triple="aarch64-unknown-linux-gnu",
        cpu="generic",
        features=("+neon", "+fp-armv8"),
        vector_bytes=16,
        vector_registers=32,
        masked_memory=False,
        l1_bytes=64 << 10,
        l2_bytes=1 << 20,
        l3_bytes=8 << 20,
        line_bytes=64,
        cores=cores,
    )
