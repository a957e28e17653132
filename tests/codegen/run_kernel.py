"""Runs a kernel compiled and interpreted on copies of the same buffers."""

import ctypes
import itertools

import numpy as np

from rushlight.base.target import without_avx512
from rushlight.codegen.llvm import module_text
from rushlight.loopnest.interpret import interpret_kernel
from rushlight.loopnest.ir import kind_of
from rushlight.loopnest.verify import verify_kernel
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text

_SIGNATURE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)

HOST = host_target()
TARGETS = [HOST]
if HOST.vector_bytes == 64:
    TARGETS.append(without_avx512(HOST))


class Compiled:
    """A kernel loaded for one Target."""

    def __init__(self, kernel, target=HOST, brief=False):
        self.kernel = verify_kernel(kernel)
        text = module_text([kernel], target, brief)
        self.library = load_text(text, [kernel.name], target, quick=brief)
        self.function = _SIGNATURE(self.library[kernel.name])

    def __call__(self, buffers, params, begin=0, end=1):
        pointers = (ctypes.c_void_p * max(1, len(buffers)))(
            *[buffers[b.name].ctypes.data for b in self.kernel.buffers]
        )
        words = np.zeros(max(1, len(self.kernel.params)), np.int64)
        for slot, param in enumerate(self.kernel.params):
            if kind_of(param.dtype) == "f":
                words.view(np.float64)[slot] = params[param.name]
            else:
                words[slot] = int(params[param.name])
        self.function(ctypes.addressof(pointers), words.ctypes.data, begin, end)


def run_everywhere(kernel, buffers, params, extent=1):
    """Outputs of the interpreter and of both kinds of code for every Target, as dicts of arrays."""
    verify_kernel(kernel)
    results = []
    expected = {name: array.copy() for name, array in buffers.items()}
    interpret_kernel(kernel, expected, params)
    results.append(expected)
    for target, brief in itertools.product(TARGETS, [False, True]):
        actual = {name: array.copy() for name, array in buffers.items()}
        Compiled(kernel, target, brief)(actual, params, 0, extent)
        results.append(actual)
    return results


def assert_same_bits(kernel, buffers, params, extent=1):
    expected, *others = run_everywhere(kernel, buffers, params, extent)
    for actual in others:
        for name, array in expected.items():
            same = array.view(np.uint8) == actual[name].view(np.uint8)
            if array.dtype.kind == "f":  # every NaN is one NaN
                equal = (array == actual[name]) | (np.isnan(array) & np.isnan(actual[name]))
                assert equal.all(), (name, np.flatnonzero(~equal)[:5], array, actual[name])
            else:
                assert same.all(), (name, array, actual[name])
