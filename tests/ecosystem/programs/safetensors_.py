"""safetensors: a model's weights to a file and back, in several dtypes, one of them mapped."""

import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model

from tests.ecosystem.report import report

torch.manual_seed(0)
file = tempfile.mktemp(suffix=".safetensors")
dtypes = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.uint8]
dtypes.append(torch.float8_e4m3fn)
tensors = {str(dtype): torch.randn(3, 4).to(dtype) for dtype in dtypes}
save_file(tensors, file, metadata={"format": "pt"})
loaded = load_file(file)
with safe_open(file, framework="pt") as opened:
    part = opened.get_slice("torch.float32")[1:, :2]
    names = list(opened.keys())
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
save_model(model, file)
other = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
load_model(other, file)
report(
    equal=[bool((loaded[n].float() == tensors[n].float()).all()) for n in tensors],
    dtypes=[str(value.dtype) for value in loaded.values()],
    names=sorted(names),
    part=part,
    bytes=len(save({"x": torch.ones(3)})),
    loaded=load(save({"x": torch.arange(3)}))["x"],
    model=other(torch.ones(2, 4)),
)
