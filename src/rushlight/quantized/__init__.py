"""Numbers kept as 8-bit integers: quantized tensors and products of them.

The names are PyTorch's functions and methods (`torch.quantize_per_tensor`, `Tensor.int_repr`);
modules and observers stand in `ao/`.  Loaded when a program first quantizes.
Level: quantized (12).
"""

from rushlight.quantized import functions, methods  # noqa: F401 - attach what quantized tensors do
