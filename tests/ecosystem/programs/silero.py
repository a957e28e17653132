"""silero-vad: its TorchScript archive says where in a sound somebody speaks."""

import math

import silero_vad
import torch

from tests.ecosystem.report import report, timed

RATE, STEP = 16000, 512
model = silero_vad.load_silero_vad()

# A second of quiet noise, one of a voice's harmonics that rise and fall, one of noise again.
torch.manual_seed(0)
at = torch.arange(3 * RATE, dtype=torch.float64) / RATE
pitch = 140 + 25 * torch.sin(2 * math.pi * 3 * at)
phase = 2 * math.pi * torch.cumsum(pitch, 0) / RATE
voice = sum(torch.sin(k * phase) / k for k in range(1, 12))
loud = ((at > 1) & (at < 2)) * (0.5 + 0.5 * torch.sin(2 * math.pi * 4 * at).abs())
wave = 0.002 * torch.randn(3 * RATE) + (0.1 * voice * loud).float()


def speech():
    model.reset_states()
    with torch.no_grad():
        steps = range(0, len(wave) - STEP + 1, STEP)
        return [model(wave[i : i + STEP], RATE).item() for i in steps]


chances = speech()
timed(speech, 5)
report(chances=chances)
