"""Writes the page of the gallery: what each program printed, how its loss fell, what it drew.

`PYTHONPATH=src python tools/gallery.py [NAME …]` runs the programs of `examples/` (all of them
takes half an hour) and writes `docs/gallery.md` and the pictures beside it; with names, only those
are run again and the others' outputs stay.  Needs Pillow.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, PAGE = ROOT / "examples", ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
SECONDS = 900
WIDTH, HEIGHT, MARGIN = 560, 180, 34
INTRODUCTION = """# Gallery

A program for each kind of learning, as one writes it for PyTorch, each one file of under 120 lines
in `examples/`. `rushlight gallery` lists them and `rushlight gallery NAME --pictures FOLDER` runs
one and keeps what it drew; with PyTorch they print the same numbers where a test can say so. What
they printed and drew here is from the last run of `tools/gallery.py`; a curve is the loss of each
step, as `rushlight run --watch` saw it (the mean of neighbours, and in grey from the least to the
most of them).
"""


def run(name: str) -> dict[str, object]:
    """Run one program under `--watch`: its output and the buckets of its loss."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    draws = "[PICTURE.png]" in source
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "run.html", PICTURES / f"{name}.png"
        words = [sys.executable, "-m", "rushlight", "run", f"--watch={page}"]
        words += [str(EXAMPLES / f"{name}.py"), *([str(picture)] if draws else [])]
        begun = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"{name} stopped:\n{done.stderr}")
        given = re.search(r"^const GIVEN = (.*);$", page.read_text("utf-8"), re.MULTILINE)
    series = json.loads(given[1])["series"] if given else {}
    print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    return {"printed": done.stdout.rstrip(), "loss": series.get("loss", []), "draws": draws}


def curve(buckets: list[list[float]], path: Path) -> None:
    """A loss against its steps as a small picture."""
    image = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    steps = [bucket[0] for bucket in buckets]
    values = sorted(bucket[1] for bucket in buckets)
    # A few wild values would press the curve flat.
    top = max(values[int(0.995 * (len(values) - 1))], values[0] + 1e-9)
    low = min(0.0, values[0])

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - steps[0]) / max(steps[-1] - steps[0], 1)
        up = (min(max(value, low), top) - low) / (top - low)
        wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
        return 2 * (MARGIN + across * wide), 2 * (HEIGHT - MARGIN - up * high)

    for bucket in buckets:
        pen.line([place(bucket[0], bucket[2]), place(bucket[0], bucket[3])], "#dddddd", 3)
    pen.line([place(bucket[0], bucket[1]) for bucket in buckets], "#d1492e", 4, joint="curve")
    left, bottom = place(steps[0], low)
    pen.line([place(steps[0], top), (left, bottom), place(steps[-1], low)], "#555555", 2)
    for value in (top, low):
        at = left - 8, place(steps[0], value)[1]
        pen.text(at, f"{value:.2g}", "#333333", font_size=22, anchor="rm")
    last = f"step {int(steps[-1])}"
    pen.text((place(steps[-1], low)[0] - 110, bottom + 8), last, "#333333", font_size=22)
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).quantize(32).save(path, optimize=True)


def part(name: str, found: dict[str, object]) -> str:
    """The page's section of one program."""
    text = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))) or name
    first, _, rest = text.partition("\n")
    texts = [t for t in rest.split("\n\n") if t.strip() and "rushlight run" not in t]
    about = " · " + " ".join(texts[-1].split()) if texts else ""
    lines = [f"## {first.rstrip('.')}", "", f"`rushlight gallery {name}`{about}", ""]
    if found["draws"]:
        lines += [f"![what {name} drew](gallery/{name}.png)", ""]
    loss = found["loss"]
    source = (EXAMPLES / f"{name}.py").read_text("utf-8")
    # Several losses are no curve, and one that is scaled against underflow jumps with its scale.
    one = source.count(".backward()") == 1 and "GradScaler" not in source
    if isinstance(loss, list) and len(loss) > 4 and one:
        curve(loss, PICTURES / f"{name}_loss.png")
        lines += [f"![the loss of {name}](gallery/{name}_loss.png)", ""]
    return "\n".join([*lines, "```text", str(found["printed"]), "```", ""])


def main(names: list[str]) -> None:
    """Run the programs that are named, or all, and write the page."""
    PICTURES.mkdir(exist_ok=True)
    known = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    kept: dict[str, str] = {}
    if PAGE.exists():
        for section in re.split(r"(?m)^(?=## )", PAGE.read_text(encoding="utf-8"))[1:]:
            found = re.search(r"`rushlight gallery (\w+)`", section)
            if found:
                kept[found[1]] = section.rstrip() + "\n"
    for name in names or known:
        kept[name] = part(name, run(name))
        body = [kept[name] for name in known if name in kept]
        PAGE.write_text("\n".join([INTRODUCTION, *body]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
