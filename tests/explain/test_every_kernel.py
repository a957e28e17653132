"""Whatever computes a primitive's samples can be described: name, work, group, code."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("torch")

import rushlight
from rushlight.base.config import config
from rushlight.base.observe import watching
from rushlight.engine.history import History
from rushlight.engine.report import plan_text
from rushlight.viz.page import page
from tests.test_primitives import ROWS, call, cases, ours

DTYPES = r"(f16|f32|f64|bf16|i8|i16|i32|i64|u8|u16|u32|u64|bool|c64|c128)"
NAME = re.compile(rf"[a-z0-9_]+_\d+(x\d+)*_{DTYPES}(_part\d+)?|whole_plan")


@pytest.mark.parametrize("name", ROWS)
def test_the_kernels_of_a_primitive_are_described(name: str, monkeypatch) -> None:
    monkeypatch.setattr(config, "executor", "compiled")
    row = ROWS[name][1]
    history = History()
    for dtype in row.dtypes[:2]:
        for shapes, params, _ in cases(row, [dtype]):
            arguments = [ours(array, dtype) for array in row.arrays(shapes, dtype, params)]
            rushlight.synchronize()
            with watching(history):
                results = call(row, arguments, params)
                rushlight.synchronize()
            assert results
    for run in history.of_kind("kernel"):
        facts = run.facts
        assert facts is not None and NAME.fullmatch(run.name), run.name
        assert facts.moved > 0 and facts.flops >= 0 and facts.loops and facts.outputs
        assert run.seconds > 0
    for run in history.of_kind("flush"):
        assert "tape:" in plan_text(run.compiled)
    if history.of_kind("kernel"):
        assert '"Loop nest":' in page(history, name)
