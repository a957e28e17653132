"""Resemblyzer: voices as vectors, by the package's weights; sounds are made up here."""

import importlib
import math
import sys
import types

import torch

from tests.ecosystem.report import report, timed

# The parts that read files of sound are not used.
for name in ("librosa", "webrtcvad"):
    sys.modules[name] = types.ModuleType(name)

package = importlib.import_module("resemblyzer.voice_encoder")
encoder = package.VoiceEncoder("cpu", verbose=False).eval()
torch.manual_seed(0)
band, moment = torch.arange(40.0), torch.arange(160.0)
voices = []
for pitch in (3.0, 3.2, 7.0, 7.3):
    pattern = torch.cos(2 * math.pi * band / pitch) * torch.sin(moment[:, None] / (5 * pitch)) ** 2
    voices.append((pattern.abs() + 0.05 * torch.rand(160, 40)) * 0.01)
mels = torch.stack(voices)


def embed():
    with torch.no_grad():
        return encoder(mels)


vectors = embed()
timed(lambda: embed().sum().item(), 5)
report(vectors=vectors[:, ::4], alike=vectors @ vectors.T)
