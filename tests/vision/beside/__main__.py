"""`python -m tests.vision.beside --peer PYTHON [NAME…]`: a line for each network.

In: an interpreter with torch and torchvision.  Out: "equal", or what differs; exit status 1 if
anything does.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
LIST = "import torchvision.models as m; print(*m.list_models())"


def _environment(peer: bool) -> dict[str, str]:
    paths = [str(ROOT)] if peer else [str(ROOT), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def produce(python: str, side: str, folder: str, names: list[str]) -> None:
    """Run one side."""
    command = [python, "-m", "tests.vision.beside.produce", side, folder, *names]
    subprocess.run(command, env=_environment(side == "torch"), cwd=ROOT, check=True)


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The greatest difference as a share of the greatest value."""
    if ours.shape != theirs.shape:
        return float("inf")
    if ours.size == 0:
        return 0.0
    scale = max(float(np.abs(theirs).max()), 1e-6)
    return float(np.abs(ours.astype("float64") - theirs.astype("float64")).max()) / scale


def away(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The length of the difference as a share of the length: for gradients through many layers."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-6))


def _result(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str:
    """How the boxes found differ: they come in the order of scores that may be equal."""
    boxes, wanted = ours["boxes"], theirs["boxes"]
    if abs(len(boxes) - len(wanted)) > 0.02 * len(wanted):
        return f"{len(boxes)} boxes for {len(wanted)}"
    size = max(float(np.abs(wanted).max(initial=0)), 1.0)
    far = np.abs(boxes[None] - wanted[:, None]).max(2) / size if len(boxes) else np.zeros((0, 1))
    far = far + 9.0 * (ours["labels"][None] != theirs["labels"][:, None])
    far = far + np.abs(ours["scores"][None] - theirs["scores"][:, None])
    alike = far.argmin(1) if len(boxes) else np.zeros(0, int)
    close = far.min(1, initial=np.inf) < 1e-3
    # Which of two nearly equal scores is the last that counts hangs on rounding.
    if close.mean() < 0.95:
        return f"{int((~close).sum())} of {len(wanted)} boxes differ"
    for key in sorted(set(theirs) - {"boxes", "labels", "scores"}):
        rows = np.abs(ours[key][alike] - theirs[key]).reshape(len(wanted), -1)
        # A pixel at the border of a box, or one of two equally hot places, may fall either way.
        if np.mean(rows[close] > 1e-2) > 0.005:
            return f"{key}: {np.mean(rows[close] > 1e-2):.2%} differ"
    return ""


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What differs, in words; nothing where all is equal."""
    if "error" in ours or "error" in theirs:
        return [str(ours.get("error", theirs.get("error"))).strip().splitlines()[-1]]
    found = [f"{key} of the state" for key in ("names", "weights") if ours[key] != theirs[key]]
    if set(ours) != set(theirs):
        found.append(f"outputs {sorted(set(ours) ^ set(theirs))}")
    results: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for key in sorted(set(ours) & set(theirs) - {"names", "weights"}):
        if key.startswith("result."):
            number, name = key.split(".")[1:]
            pair = results.setdefault(number, ({}, {}))
            pair[0][name], pair[1][name] = ours[key], theirs[key]
            continue
        rough = key.startswith("grad")
        gap = away(ours[key], theirs[key]) if rough else apart(ours[key], theirs[key])
        if not gap <= (2e-2 if rough else 2e-4):
            found.append(f"{key} by {gap:.1e}")
    for number, (mine, other) in results.items():
        words = _result(mine, other)
        if words:
            found.append(f"result {number}: {words}")
    return found


def main() -> int:
    """Compare, print, and say by the exit status whether all is equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.vision.beside")
    parser.add_argument("--peer", required=True, help="an interpreter with torch and torchvision")
    parser.add_argument("--keep", help="a folder for the results of the peer, to run once")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = options.names
    if not names:
        listed = subprocess.run([options.peer, "-c", LIST], capture_output=True, text=True)
        names = listed.stdout.split()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or folder
        Path(kept).mkdir(exist_ok=True, parents=True)
        missing = [name for name in names if not (Path(kept) / f"{name}.torch").exists()]
        if missing:
            produce(options.peer, "torch", kept, missing)
        produce(sys.executable, "rushlight", folder, names)
        for name in names:
            ours, theirs = (
                pickle.loads(path.read_bytes())
                for path in (Path(folder) / f"{name}.rushlight", Path(kept) / f"{name}.torch")
            )
            words = compare(ours, theirs)
            status |= bool(words)
            print(f"{name:40} {'; '.join(words[:6]) or 'equal'}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
