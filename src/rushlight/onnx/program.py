"""What `torch.onnx.export` returns: a model of the `onnx` package, to save or to run.

Level: onnx (12).
"""

from __future__ import annotations

import importlib
import os
from typing import IO, Any

import numpy as np

from rushlight.ops.creation import tensor
from rushlight.serialization.atomic import write_atomically
from rushlight.tensor.tensor import Tensor


class ONNXProgram:
    """model_proto: the model, as the `onnx` package has it."""

    def __init__(self, model_proto: Any) -> None:
        self.model_proto = model_proto

    def save(self, destination: Any, **options: Any) -> None:
        """Write the model to a path or a binary file."""
        data = self.model_proto.SerializeToString()
        if isinstance(destination, (str, os.PathLike)):

            def write(target: IO[bytes]) -> None:
                target.write(data)

            write_atomically(destination, write)
        else:
            destination.write(data)

    def __call__(self, *args: Any) -> list[Tensor]:
        """Run the model by the `onnxruntime` package.  Raises: ImportError without it."""
        runtime = importlib.import_module("onnxruntime")
        session = runtime.InferenceSession(
            self.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        arrays = [x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in args]
        return [tensor(value) for value in session.run(None, dict(zip(names, arrays)))]
