"""PyTorch's `torch.cuda.jiterator`: kernels from CUDA source.  Raises on use.  Level 12."""

from __future__ import annotations

from typing import Any, NoReturn

__all__: list[str] = []


def _create_jit_fn(code_string: str, **kwargs: Any) -> NoReturn:
    """Raises: RuntimeError; here every elementwise expression is one kernel as it is written."""
    raise RuntimeError(
        "jiterator compiles CUDA source, and there is no CUDA device; write the expression with"
        " tensors, which is compiled to one kernel"
    )


def _create_multi_output_jit_fn(code_string: str, num_outputs: int, **kwargs: Any) -> NoReturn:
    """Raises: RuntimeError; see `_create_jit_fn`."""
    _create_jit_fn(code_string)
