"""PyTorch's `torch.onnx.errors`: what an export raises.  Level: onnx (12)."""

from rushlight.onnx.building import OnnxExporterError, UnsupportedOperatorError

__all__ = ["OnnxExporterError", "UnsupportedOperatorError"]
