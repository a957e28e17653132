"""What only a C++ library could bring is named, and says what to do instead."""

from __future__ import annotations

import pytest

import rushlight


def test_a_backend_of_another_library_is_refused():
    for call in (
        lambda: rushlight.utils.rename_privateuse1_backend("npu"),
        lambda: rushlight.utils.generate_methods_for_privateuse1_backend(),
    ):
        with pytest.raises(RuntimeError, match="cpu, cuda, xpu, mps and meta"):
            call()


def test_a_symbolic_function_is_sent_to_the_rules_of_the_exporter():
    with pytest.raises(rushlight.onnx.OnnxExporterError, match=r"onnx\.building\.rule"):
        rushlight.onnx.register_custom_op_symbolic("own::op", lambda g, x: x, 18)
    rushlight.onnx.unregister_custom_op_symbolic("own::op", 18)
