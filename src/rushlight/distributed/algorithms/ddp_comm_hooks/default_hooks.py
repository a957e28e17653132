"""The hooks that average a bucket of gradients, as they are or in half the bits.  Level 12."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rushlight.base.dtypes import bfloat16, float16

__all__ = [
    "allreduce_hook", "bf16_compress_hook", "bf16_compress_wrapper", "fp16_compress_hook",
    "fp16_compress_wrapper",
]  # fmt: skip


def _done(value: Any) -> Future:
    future: Future = Future()
    future.set_result(value)
    return future


def allreduce_hook(process_group: Any, bucket: Any) -> Future:
    """The mean over all processes, of which there is one."""
    return _done(bucket.buffer())


def fp16_compress_hook(process_group: Any, bucket: Any) -> Future:
    """The same in f16."""
    return _compressed(bucket, float16)


def bf16_compress_hook(process_group: Any, bucket: Any) -> Future:
    """The same in bf16."""
    return _compressed(bucket, bfloat16)


def _compressed(bucket: Any, dtype: Any) -> Future:
    buffer = bucket.buffer()
    return _done(buffer.copy_(buffer.to(dtype)))


def _wrapper(dtype: Any) -> Callable[[Callable], Callable]:
    def wrap(hook: Callable) -> Callable:
        def compress(state: Any, bucket: Any) -> Any:
            bucket.set_buffer(bucket.buffer().to(dtype))
            return hook(state, bucket)

        return compress

    return wrap


fp16_compress_wrapper = _wrapper(float16)
bf16_compress_wrapper = _wrapper(bfloat16)
