"""rushlight: PyTorch's programming model in pure Python.

The public names; this file computes nothing.  Tensors and their operations are imported here; the
library above them (`nn`, `optim`, ...) when a program first names it (PEP 562), because a program
should pay at its start only for what it uses.  Level 13.
"""

import importlib as _importlib
import sys as _sys
from math import e, inf, nan, pi

import rushlight.engine.realize  # installs execution under the tape
import rushlight.selfcompile.warmup  # looks between flushes whether translating recording pays
from rushlight import version
from rushlight.base.device import device
from rushlight.base.dtypes import (
    UNHELD as _UNHELD,
)
from rushlight.base.dtypes import (
    DType as dtype,
)
from rushlight.base.dtypes import (
    bfloat16,
    complex32,
    complex64,
    complex128,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    qint8,
    qint32,
    quint8,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from rushlight.base.dtypes import (
    bool_ as bool,
)
from rushlight.base.dtypes import (
    complex32 as chalf,
)
from rushlight.base.dtypes import (
    complex64 as cfloat,
)
from rushlight.base.dtypes import (
    complex128 as cdouble,
)
from rushlight.base.dtypes import (
    float16 as half,
)
from rushlight.base.dtypes import (
    float32 as float,
)
from rushlight.base.dtypes import (
    float64 as double,
)
from rushlight.base.dtypes import (
    int16 as short,
)
from rushlight.base.dtypes import (
    int32 as int,
)
from rushlight.base.dtypes import (
    int64 as long,
)
from rushlight.base.stats import stats as _stats
from rushlight.ops.generator import Generator, default_generator
from rushlight.ops.spelling import PUBLIC as _PUBLIC
from rushlight.random import (
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
    thread_safe_generator,
)
from rushlight.settings import (
    AcceleratorError,
    Event,
    OutOfMemoryError,
    Stream,
    are_deterministic_algorithms_enabled,
    get_default_device,
    get_deterministic_debug_mode,
    get_device_module,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    init_num_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_storage,
    is_warn_always_enabled,
    set_default_device,
    set_default_tensor_type,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    typename,
    use_deterministic_algorithms,
)
from rushlight.tensor.flush import synchronize
from rushlight.tensor.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from rushlight.tensor.tensor import Size, Tensor
from rushlight.version import __version__
from rushlight.vjp import rows  # fills the table of derivatives

# Imported at the first access.
_LAZY_MODULES = (
    "_C",
    "__config__",
    "__future__",
    "_dynamo",
    "_functorch",
    "_guards",
    "_inductor",
    "_subclasses",
    "_tensor",
    "_tensor_str",
    "_utils",
    "accelerator",
    "amp",
    "ao",
    "autograd",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "datasets",
    "distributed",
    "distributions",
    "export",
    "fft",
    "func",
    "functional",
    "futures",
    "fx",
    "jit",
    "library",
    "hub",
    "linalg",
    "masked",
    "monitor",
    "mps",
    "multiprocessing",
    "nested",
    "nn",
    "onnx",
    "optim",
    "overrides",
    "profiler",
    "quantization",
    "quantized",
    "quasirandom",
    "return_types",
    "serialization",
    "signal",
    "sparse",
    "special",
    "storage",
    "testing",
    "types",
    "utils",
    "vision",
    "viz",
    "xpu",
)
# Names whose module is imported at the first access.
_LAZY_NAMES = {
    "_choose_qparams_per_tensor": "quantized.affine",
    "_make_per_channel_quantized_tensor": "quantized.affine",
    "_make_per_tensor_quantized_tensor": "quantized.affine",
    "dequantize": "quantized.affine",
    "fake_quantize_per_channel_affine": "quantized.fake",
    "fake_quantize_per_tensor_affine": "quantized.fake",
    "int_repr": "quantized.methods",
    "q_per_channel_axis": "quantized.methods",
    "q_per_channel_scales": "quantized.methods",
    "q_per_channel_zero_points": "quantized.methods",
    "q_scale": "quantized.methods",
    "q_zero_point": "quantized.methods",
    "quantize_per_channel": "quantized.affine",
    "quantize_per_tensor": "quantized.affine",
    "quantize_per_tensor_dynamic": "quantized.affine",
    "BFloat16Storage": "storage",
    "BoolStorage": "storage",
    "ByteStorage": "storage",
    "CharStorage": "storage",
    "CompilationUnit": "jit",
    "ComplexDoubleStorage": "storage",
    "ComplexFloatStorage": "storage",
    "DoubleStorage": "storage",
    "FloatStorage": "storage",
    "Future": "futures",
    "GradScaler": "amp",
    "HalfStorage": "storage",
    "IntStorage": "storage",
    "LongStorage": "storage",
    "PyTorchFileReader": "serialization.archives",
    "ScriptFunction": "jit",
    "ScriptModule": "jit",
    "ShortStorage": "storage",
    "Storage": "storage",
    "StorageBase": "storage",
    "SymBool": "symbolic",
    "SymFloat": "symbolic",
    "SymInt": "symbolic",
    "Tag": "library",
    "TensorType": "jit.annotations",
    "TypedStorage": "storage",
    "UntypedStorage": "storage",
    "_assert": "checks",
    "_assert_async": "checks",
    "_check": "checks",
    "_check_index": "checks",
    "_check_is_size": "checks",
    "_check_not_implemented": "checks",
    "_check_tensor_all": "checks",
    "_check_tensor_all_with": "checks",
    "_check_type": "checks",
    "_check_value": "checks",
    "_check_with": "checks",
    "_dirichlet_grad": "distributions.pathwise",
    "_sample_dirichlet": "distributions.pathwise",
    "_standard_gamma": "distributions.pathwise",
    "_standard_gamma_grad": "distributions.pathwise",
    "autocast": "amp.autocast_mode",
    "autocast_decrement_nesting": "amp.autocast_mode",
    "autocast_increment_nesting": "amp.autocast_mode",
    "clear_autocast_cache": "amp.autocast_mode",
    "compile": "compiler",
    "debug": "viz",
    "explain": "viz",
    "get_autocast_cpu_dtype": "amp.autocast_mode",
    "get_autocast_dtype": "amp.autocast_mode",
    "get_autocast_gpu_dtype": "amp.autocast_mode",
    "gru": "jit.recurrent",
    "gru_cell": "jit.recurrent",
    "is_autocast_cache_enabled": "amp.autocast_mode",
    "is_autocast_cpu_enabled": "amp.autocast_mode",
    "is_autocast_enabled": "amp.autocast_mode",
    "load": "serialization",
    "lstm": "jit.recurrent",
    "lstm_cell": "jit.recurrent",
    "rnn_relu": "jit.recurrent",
    "rnn_relu_cell": "jit.recurrent",
    "rnn_tanh": "jit.recurrent",
    "rnn_tanh_cell": "jit.recurrent",
    "save": "serialization",
    "set_autocast_cache_enabled": "amp.autocast_mode",
    "set_autocast_cpu_dtype": "amp.autocast_mode",
    "set_autocast_cpu_enabled": "amp.autocast_mode",
    "set_autocast_dtype": "amp.autocast_mode",
    "set_autocast_enabled": "amp.autocast_mode",
    "set_autocast_gpu_dtype": "amp.autocast_mode",
    "dsmm": "sparse.former",
    "hsmm": "sparse.former",
    "hspmm": "sparse.former",
    "saddmm": "sparse.former",
    "smm": "sparse.former",
    "spmm": "sparse.former",
    "sspaddmm": "sparse.former",
    "sparse_compressed_tensor": "sparse.construction",
    "sparse_coo_tensor": "sparse.construction",
    "sparse_bsc_tensor": "sparse.construction",
    "sparse_bsr_tensor": "sparse.construction",
    "sparse_csc_tensor": "sparse.construction",
    "sparse_csr_tensor": "sparse.construction",
    "sym_float": "symbolic",
    "sym_fresh_size": "symbolic",
    "sym_int": "symbolic",
    "sym_ite": "symbolic",
    "sym_max": "symbolic",
    "sym_min": "symbolic",
    "sym_not": "symbolic",
    "sym_sqrt": "symbolic",
    "sym_sum": "symbolic",
    "vmap": "func",
    "why_recompiled": "viz",
}

newaxis = None
DeviceObjType = device
stats = _stats.snapshot
globals().update(_PUBLIC)
globals().update({_named.name: _named for _named in _UNHELD})


def __getattr__(name: str) -> object:
    if name in _LAZY_MODULES:
        return _importlib.import_module(f"rushlight.{name}")  # which also sets the attribute
    if name in _LAZY_NAMES:
        value = getattr(_importlib.import_module(f"rushlight.{_LAZY_NAMES[name]}"), name)
        globals()[name] = value
        return value
    message = f"module 'rushlight' has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=_sys.modules["rushlight"])


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES})
