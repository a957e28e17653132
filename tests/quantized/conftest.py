"""Quantization on both executors, beside PyTorch, which warns that it will move its own."""

import pytest

pytest.importorskip("torch")

from rushlight.base.config import config
from tests.fuzz.outcome import forget


@pytest.fixture(autouse=True, params=["compiled", "reference"])
def executor(request, monkeypatch):
    monkeypatch.setattr(config, "executor", request.param)
    forget()
    yield request.param
    forget()
