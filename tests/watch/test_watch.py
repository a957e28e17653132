"""The page of a run: bounded in memory, for this machine only, and telling what the program did."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.png import as_pixels, png
from rushlight.watch import Record, Run
from rushlight.watch.record import MOST_PICTURES, MOST_POINTS, MOST_SERIES

SCRIPT = """
import sys
import torch
import torch.nn as nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
x = torch.randn(32, 4)
for _ in range(400):
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
print(loss.item())
sys.exit(3)
"""


def data_of(page: str) -> dict:
    found = re.search(r"^const GIVEN = (.*);$", page, re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


def ask(address: str, path: str, host: str | None = None) -> tuple[int, str]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or parts.netloc})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# ---- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS + 3])
def test_a_long_series_keeps_its_mean_its_ends_and_its_extremes(count: int) -> None:
    record = Record()
    values = np.random.default_rng(0).normal(size=count)
    for step, value in enumerate(values):
        record.scalar("x", float(value), step)
    buckets = record.as_dict()["series"]["x"]
    steps, means, least, most, counts = zip(*buckets)
    assert len(buckets) <= MOST_POINTS and list(steps) == sorted(steps)
    assert steps[-1] == count - 1 and sum(counts) == count
    assert min(least) == values.min() and max(most) == values.max()
    assert np.average(means, weights=counts) == pytest.approx(values.mean())


def test_what_is_not_finite_is_counted_and_never_in_the_json() -> None:
    record = Record()
    for step, value in enumerate((1.0, math.nan, math.inf)):
        record.scalar("loss", value, step)
    record.histogram("weights", np.array([1.0, math.nan, 2.0, -math.inf]), 0)
    record.histogram("nothing", np.array([]), 0)
    state = json.loads(json.dumps(record.as_dict(), allow_nan=False))
    assert state["bad"] == {"loss": [1, "nan", 2]}
    assert len(state["series"]["loss"]) == 1
    assert state["histograms"]["weights"][0]["bad"] == 2
    assert sum(state["histograms"]["weights"][0]["counts"]) == 2


def test_names_and_pictures_are_bounded_and_what_is_left_out_is_said() -> None:
    record = Record()
    for number in range(MOST_SERIES + 7):
        record.scalar(f"series {number}", 1.0, 0)
    for step in range(MOST_PICTURES + 5):
        record.picture("drawing", np.zeros((2, 3)), step)
    state = record.as_dict()
    assert len(state["series"]) == MOST_SERIES and state["leftOut"] == 7
    assert [entry["step"] for entry in state["pictures"]["drawing"]] == list(range(5, 17))


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (3, 4, 5), (4, 5, 3)])
def test_a_picture_is_a_png_of_its_pixels(shape: tuple[int, ...]) -> None:
    pixels = as_pixels(np.random.default_rng(0).random(shape))
    file = png(pixels)
    width, height, depth, kind = struct.unpack(">IIBB", file[16:26])
    assert (width, height, depth) == (5, 4, 8) and kind == (2 if 3 in shape else 0)
    data = file[file.index(b"IDAT") + 4 : -16]
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(4, -1)
    assert (rows[:, 0] == 0).all() and (rows[:, 1:] == pixels.reshape(4, -1)).all()


@pytest.mark.parametrize("shape", [(4,), (2, 4, 5), (1, 1, 4, 5), (0, 5)])
def test_other_shapes_are_no_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        as_pixels(np.zeros(shape))


# ---- the page ------------------------------------------------------------------------------------


def test_the_page_is_for_this_machine_and_shows_what_was_logged(tmp_path: Path) -> None:
    title = "</script><script>alert(1)</script>"
    with Run(title, file=tmp_path / "page.html") as run:
        run.log(loss=rl.tensor(0.5), accuracy=np.float32(0.75))
        run.log(loss=0.25)
        run.image("half", rl.rand(1, 4, 4).bfloat16())
        address = run.address
        assert address is not None and address.startswith("http://127.0.0.1:")
        assert ask(address, "/", "evil.example:80")[0] == 403
        assert ask(address, "/other")[0] == 404
        status, page = ask(address, "/")
        assert status == 200 and "alert(1)</script>" not in page.replace("&lt;/script&gt;", "")
        state = json.loads(ask(address, "/data")[1])
        assert [bucket[:2] for bucket in state["series"]["loss"]] == [[1, 0.5], [2, 0.25]]
        assert address in run._repr_html_()
    assert run.address is None
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert title not in text
    assert data_of(text)["ended"] == "ended" and data_of(text)["title"] == title
    assert list(tmp_path.iterdir()) == [tmp_path / "page.html"]


def test_a_number_is_one_number() -> None:
    with Run(port=None) as run, pytest.raises(ValueError, match="loss is one number a step"):
        run.log(loss=rl.ones(2))


def test_the_error_that_ended_a_run_stands_on_its_page(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Run(port=None, file=tmp_path / "page.html"):
        raise KeyError("lost")
    ended = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["ended"]
    assert ended == "ended by KeyError: 'lost'"


# ---- an unmodified program -----------------------------------------------------------------------


def rushlight_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "rushlight", "run", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_unmodified_script_is_watched_and_prints_what_it_prints(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    watched = rushlight_run(tmp_path, "--watch", "script.py")
    plain = rushlight_run(tmp_path, "script.py")
    assert (watched.returncode, watched.stdout) == (3, plain.stdout) and plain.returncode == 3
    assert watched.stderr.startswith("rushlight: watch this run at http://127.0.0.1:")
    state = data_of((tmp_path / "run.html").read_text(encoding="utf-8"))
    assert state["ended"] == "ended with exit code 3"
    last_step, last_loss, *_ = state["series"]["loss"][-1]
    assert (last_step, last_loss) == (400, float(plain.stdout))
    assert {bucket[1] for bucket in state["series"]["learning rate"]} == {0.25}
    assert "milliseconds a step" in state["series"]
    assert {"0.weight", "0.weight, gradient", "2.bias"} <= set(state["histograms"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--watch", "--port=x", "a.py"], "--port takes a port"),
        (["--port=80", "a.py"], "--port belongs to --watch"),
    ],
)
def test_wrong_options_are_explained(words: list[str], problem: str, tmp_path: Path) -> None:
    result = rushlight_run(tmp_path, *words)
    assert result.returncode == 2 and problem in result.stderr


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with Run("a run", port=None, file=file) as run:
        for step in range(50):
            run.log(loss=1 / (step + 1))
        run.log(loss=math.nan)
        run.histogram("weights", rl.randn(100))
        run.image("picture", rl.rand(3, 4, 4))
        run.text("notes", "<b>bold</b>")
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    body = result.stdout.partition("</header>")[2].partition("<script>")[0]
    assert body.count("<svg") == 2 and "data:image/png;base64," in body
    assert "latest 0.02" in body and "1 not finite, first nan at step 51" in body
    assert "&lt;b&gt;bold&lt;/b&gt;" in body
