"""Loading and augmenting 10,000 pictures with two workers, beside torchvision.

`python -m tests.vision.beside.loading --peer PYTHON`: each side reads the same folder of JPEG files
by `ImageFolder` and `DataLoader(num_workers=2)`, in turns.  Out: processor seconds (all processes
together) and seconds of each side, the least of its turns, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.vision.beside.__main__ import ROOT, _environment

SIDE = """
import importlib, json, resource, sys, time, warnings
warnings.simplefilter("ignore")
torch, torchvision = (importlib.import_module(name) for name in sys.argv[1].split(","))
for part in (".datasets", ".transforms"):
    importlib.import_module(torchvision.__name__ + part)
data = importlib.import_module(torch.__name__ + ".utils.data")
T = torchvision.transforms
torch.set_num_threads(1)

def spent():
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(part.ru_utime + part.ru_stime for part in map(resource.getrusage, kinds))

def main():
    steps = [T.RandomResizedCrop(64), T.RandomHorizontalFlip()]
    if sys.argv[3] == "colour":
        steps.append(T.ColorJitter(0.2, 0.2, 0.2))
    steps += [T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    folder = torchvision.datasets.ImageFolder(sys.argv[2], T.Compose(steps))
    torch.manual_seed(0)
    loader = data.DataLoader(folder, batch_size=64, shuffle=True, num_workers=2)
    begun, before = time.perf_counter(), spent()
    total, count = 0.0, 0
    for images, labels in loader:
        total += images.sum().item()
        count += len(labels)
    cpu, wall = spent() - before, time.perf_counter() - begun
    print(json.dumps({"cpu": cpu, "wall": wall, "count": count, "mean": total / count}))

if __name__ == "__main__":
    main()
"""
NAMES = {"torch": "torch,torchvision", "rushlight": "rushlight,rushlight.vision"}


def plant(folder: Path, count: int, size: int) -> None:
    """Smooth pictures in ten classes, as JPEG."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size].astype("float32")
    for i in range(count):
        place = folder / str(i % 10)
        place.mkdir(parents=True, exist_ok=True)
        waves = [
            np.sin(x / rng.uniform(4, 20) + c) + np.cos(y / rng.uniform(4, 20)) for c in range(3)
        ]
        pixels = 127 + 50 * np.stack(waves, -1) + rng.normal(0, 6, (size, size, 3))
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(place / f"{i}.jpg", quality=90)


def measure(python: str, side: str, folder: Path, kind: str, script: Path) -> dict[str, float]:
    """One turn of one side."""
    words = [python, str(script), NAMES[side], str(folder), kind]
    environment = {**_environment(side == "torch"), "RUSHLIGHT_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure both sides in turns and print a line for each kind of augmentation."""
    parser = argparse.ArgumentParser(prog="python -m tests.vision.beside.loading")
    parser.add_argument("--peer", required=True, help="an interpreter with torch and torchvision")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=128, help="of a picture's sides, in pixels")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder, script = Path(root) / "pictures", Path(root) / "side.py"
        script.write_text(SIDE)
        plant(folder, options.count, options.size)
        for kind in ("plain", "colour"):
            best: dict[str, dict[str, float]] = {}
            for _ in range(options.turns):
                for side, python in (("torch", options.peer), ("rushlight", sys.executable)):
                    found = measure(python, side, folder, kind, script)
                    if side not in best or found["cpu"] < best[side]["cpu"]:
                        best[side] = found
            ours, theirs = best["rushlight"], best["torch"]
            assert ours["count"] == theirs["count"] == options.count
            print(
                f"{kind}: {options.count} pictures, processor seconds {ours['cpu']:.1f} here,"
                f" {theirs['cpu']:.1f} there ({theirs['cpu'] / ours['cpu']:.2f} times as fast);"
                f" seconds {ours['wall']:.1f}, {theirs['wall']:.1f};"
                f" mean {ours['mean']:.4f}, {theirs['mean']:.4f}; {os.cpu_count()} processors",
                flush=True,
            )


if __name__ == "__main__":
    main()
