"""Switches of CUDA's libraries, kept for the scripts that set them.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rushlight.base.precision import precision
from rushlight.engine import cuda


class MatmulSwitches:
    """How CUDA's matrix products may round; has no effect without CUDA.

    allow_tf32: float32 products on tensor cores, which cut operands to 10 bits of mantissa.  Sums
    of 16-bit products are float32 whatever the others say.
    """

    def __init__(self) -> None:
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True
        self.allow_fp16_accumulation = False
        self._fp32_precision = "none"

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products may use TF32."""
        return precision.tf32

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        cuda.allow_tf32(bool(allowed))

    @property
    def fp32_precision(self) -> str:
        """The same by name: "tf32", "ieee", or "none" where nobody chose."""
        return self._fp32_precision

    @fp32_precision.setter
    def fp32_precision(self, name: str) -> None:
        self._fp32_precision = name
        cuda.allow_tf32(name == "tf32")


matmul = MatmulSwitches()


def is_built() -> bool:
    """Whether there is a CUDA device that rushlight uses; its code is made where it runs."""
    return bool(cuda.backends())


class _PlanCache:
    """Plans of cuFFT that are kept: none."""

    size = 0
    max_size = 0

    def clear(self) -> None:
        """Forget the plans."""

    def __getitem__(self, device: object) -> _PlanCache:
        return self


cufft_plan_cache = _PlanCache()


class _Attention:
    """Which kernels of attention may be chosen: kept; there is one way to compute it here."""

    def __init__(self) -> None:
        self.flash = True
        self.mem_efficient = True
        self.math = True
        self.cudnn = True
        self.reduced = False


_attention = _Attention()
_preferred = {"linalg": "default", "blas": "cublas", "rocm_fa": "default"}


def is_flash_attention_available() -> bool:
    """Whether CUDA's flash attention can be used: no."""
    return False


def is_ck_sdpa_available() -> bool:
    """Whether ROCm's attention can be used: no."""
    return False


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was given."""
    return _attention.flash


def enable_flash_sdp(enabled: bool) -> None:
    """Allow CUDA's flash attention."""
    _attention.flash = bool(enabled)


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was given."""
    return _attention.mem_efficient


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Allow CUDA's memory-efficient attention."""
    _attention.mem_efficient = bool(enabled)


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was given."""
    return _attention.math


def enable_math_sdp(enabled: bool) -> None:
    """Allow attention in plain operations."""
    _attention.math = bool(enabled)


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was given."""
    return _attention.cudnn


def enable_cudnn_sdp(enabled: bool) -> None:
    """Allow cuDNN's attention."""
    _attention.cudnn = bool(enabled)


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """What `allow_fp16_bf16_reduction_math_sdp` was given."""
    return _attention.reduced


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Allow attention in plain operations to add in 16 bits; it adds in 32."""
    _attention.reduced = bool(enabled)


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """Context with other allowed kernels of attention; the result is the same."""
    before = dict(vars(_attention))
    vars(_attention).update(
        flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn
    )
    try:
        yield
    finally:
        vars(_attention).update(before)


def can_use_flash_attention(params: object, debug: bool = False) -> bool:
    """Whether CUDA's flash attention takes these operands: no."""
    return False


def can_use_efficient_attention(params: object, debug: bool = False) -> bool:
    """Whether CUDA's memory-efficient attention takes these operands: no."""
    return False


def can_use_cudnn_attention(params: object, debug: bool = False) -> bool:
    """Whether cuDNN's attention takes these operands: no."""
    return False


def preferred_linalg_library(backend: str | None = None) -> str:
    """The library for decompositions on a device: kept, and returned."""
    if backend is not None:
        _preferred["linalg"] = backend
    return _preferred["linalg"]


def preferred_blas_library(backend: str | None = None) -> str:
    """The library for products on a device: kept, and returned."""
    if backend is not None:
        _preferred["blas"] = backend
    return _preferred["blas"]


def preferred_rocm_fa_library(backend: str | None = None) -> str:
    """The library for attention on ROCm: kept, and returned."""
    if backend is not None:
        _preferred["rocm_fa"] = backend
    return _preferred["rocm_fa"]
