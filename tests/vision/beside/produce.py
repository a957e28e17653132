"""One side of the comparison: `python -m tests.vision.beside.produce SIDE FOLDER NAME…`.

In: "torch" or "rushlight", a folder, names of networks.  Out: for each a file of arrays there.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import traceback
import warnings
from pathlib import Path

from tests.vision.beside.networks import run

MODULES = {"torch": ("torch", "torchvision"), "rushlight": ("rushlight", "rushlight.vision")}


def main(side: str, folder: str, names: list[str]) -> None:
    """Write what each network does."""
    warnings.simplefilter("ignore")
    torch, torchvision = (importlib.import_module(name) for name in MODULES[side])
    importlib.import_module(torchvision.__name__ + ".models")
    torch.set_num_threads(1)
    for name in names:
        try:
            found = run(torch, torchvision, name)
        except Exception:
            found = {"error": traceback.format_exc()}
        (Path(folder) / f"{name}.{side}").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
