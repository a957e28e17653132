"""Exported programs compute what the module did, are described, saved and loaded."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch")


def _model(lib: Any) -> Any:
    class Model(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.ReLU())
            self.norm = lib.nn.BatchNorm1d(4)
            self.register_buffer("shift", lib.ones(4))

        def forward(self, x, pair, scale=2.0):
            y = self.norm(self.layers(x)) * scale + self.shift
            return {"y": y, "z": [pair[0] @ y.t(), pair[1][:, 1:]]}

    lib.manual_seed(0)
    return Model().eval()


def _inputs(lib: Any, add: float = 0.0) -> tuple:
    x = lib.arange(6.0).reshape(2, 3) + add
    return x, (lib.ones(5, 4), lib.arange(4.0).reshape(2, 2) * (1 + add))


def test_signatures_and_results_are_pytorchs() -> None:
    seen = []
    for lib in (rushlight, torch):
        model = _model(lib)
        program = lib.export.export(model, _inputs(lib))
        signature = program.graph_signature
        found = program.module()(*_inputs(lib, 1.0))
        expected = model(*_inputs(lib, 1.0))
        assert lib.allclose(found["y"], expected["y"])
        assert [lib.allclose(a, b) for a, b in zip(found["z"], expected["z"])] == [True, True]
        assert sorted(program.module().state_dict()) == sorted(model.state_dict())
        assert len(signature.user_outputs) == 3
        seen.append(
            (sorted(signature.parameters), len(signature.user_inputs),
             sorted(signature.inputs_to_parameters.items()), sorted(program.state_dict))
        )  # fmt: skip
        with pytest.raises(RuntimeError, match="call ExportedProgram directly"):
            program(*_inputs(lib))
        with pytest.raises((RuntimeError, AssertionError), match="Guard failed"):
            program.module()(lib.ones(3, 3), _inputs(lib)[1])
        with pytest.raises(ValueError, match="instance of"):
            lib.export.export(lib.relu, (lib.ones(2),))
    assert seen[0] == seen[1]


def test_programs_are_saved_and_loaded() -> None:
    model = _model(rushlight)
    program = rushlight.export.export(model, _inputs(rushlight), {"scale": 3.0})
    buffer = io.BytesIO()
    rushlight.export.save(program, buffer, extra_files={"note": "hello"})
    buffer.seek(0)
    extra = {"note": ""}
    back = rushlight.export.load(buffer, extra_files=extra)
    assert extra["note"] == "hello"
    assert str(back.graph_signature) == str(program.graph_signature)
    found = back.module()(*_inputs(rushlight, 2.0), scale=3.0)
    expected = model(*_inputs(rushlight, 2.0), scale=3.0)
    assert rushlight.equal(found["y"], expected["y"])
    assert rushlight.equal(found["z"][1], expected["z"][1])
    with pytest.raises(RuntimeError, match=r"scale.*was 3\.0"):
        back.module()(*_inputs(rushlight), scale=1.0)
    assert "p_layers_0_weight: PARAMETER target='layers.0.weight'" in str(program)


def test_the_lifted_graph_takes_all_its_values() -> None:
    model = nn.LSTM(3, 2)
    program = rushlight.export.export(model, (rushlight.rand(4, 1, 3),))
    x = rushlight.rand(4, 1, 3)
    values = {**program.state_dict, **program.constants}
    given = [values[s.target] for s in program.graph_signature.input_specs if s.target]
    flat = program.graph_module(*given, x)
    output, (h, c) = model(x)
    assert [rushlight.equal(a, b) for a, b in zip(flat, (output, h, c))] == [True] * 3


@pytest.mark.parametrize(
    "change",
    [("target", "os.system"), ("target", "torch.from_file"), ("op", "call_module"), ("args", 3)],
)
def test_files_with_other_functions_are_refused(change: tuple[str, Any]) -> None:
    program = rushlight.export.export(nn.ReLU(), (rushlight.ones(2),))
    buffer = io.BytesIO()
    rushlight.export.save(program, buffer)
    buffer.seek(0)
    content = rushlight.load(buffer)
    content["graph"][1][change[0]] = change[1]
    changed = io.BytesIO()
    rushlight.save(content, changed)
    changed.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"export\.load"):
        rushlight.export.load(changed)
    with pytest.raises(RuntimeError, match="no program"):
        other = io.BytesIO()
        rushlight.save({}, other)
        other.seek(0)
        rushlight.export.load(other)
