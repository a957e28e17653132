"""`rushlight trace` writes one page that holds everything and can be read by a parser."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rushlight.viz.page import TEMPLATE, escaped_json, packed

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "</script><img src=x onerror=alert(1)>&<!--'\"\u2028"

SCRIPT = """\
import sys
import torch
from torch.profiler import record_function

x = torch.ones(64, 32)
with record_function(sys.argv[1]):
    y = torch.softmax(x @ x.t(), 1)  # </script><b>hostile</b>
    print(y.sum().item())
raise SystemExit(int(sys.argv[2]))
"""


class Reader(HTMLParser):
    """Elements, what stands in scripts, and every address an element names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict, str]] = []
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.title = ""
        self.inside: tuple[str, dict] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.elements.append(tag)
        self.addresses += [named[n] for n in ("src", "href") if n in named]
        if tag in ("script", "title"):
            self.inside = (tag, named)

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside is None:
            return
        if self.inside[0] == "title":
            self.title += text
        else:
            self.scripts.append((self.inside[1], text))

    @property
    def data(self) -> dict:
        (found,) = [text for named, text in self.scripts if named.get("id") == "data"]
        return json.loads(found)


def unpacked(text: str) -> str:
    return gzip.decompress(base64.b64decode(text)).decode()


def trace(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess, Path]:
    output = folder / "page.html"
    environment = {**os.environ, "RUSHLIGHT_EXECUTOR": "compiled"}
    command = [sys.executable, "-m", "rushlight", "trace", "-o", str(output), *words]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    return result, output


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> tuple[subprocess.CompletedProcess, Reader, Path]:
    folder = tmp_path_factory.mktemp("trace")
    script = folder / "<b>&hostile'.py"
    script.write_text(SCRIPT, encoding="utf-8")
    result, output = trace(folder, str(script), HOSTILE, "7")
    return result, Reader(output.read_text(encoding="utf-8")), script


def items(reader: Reader, kind: str) -> list[dict]:
    return [item for item in reader.data["items"] if item["kind"] == kind]


def test_the_script_runs_as_it_would_alone_and_its_exit_code_is_kept(traced) -> None:
    result, _, _ = traced
    assert result.returncode == 7
    assert float(result.stdout) == pytest.approx(64.0)
    assert "page in " in result.stderr


def test_the_page_needs_nothing_else(traced) -> None:
    _, reader, _ = traced
    assert reader.addresses == []
    assert reader.elements.count("script") == 2
    assert "link" not in reader.elements and "img" not in reader.elements


def test_hostile_names_are_data_and_nothing_more(traced) -> None:
    _, reader, script = traced
    assert "b" not in reader.elements
    assert str(script) in reader.title
    assert [item["name"] for item in items(reader, "range")] == [HOSTILE]
    assert any("</script><b>hostile</b>" in source[2] for source in reader.data["sources"])


def test_each_kernel_has_its_source_lines_and_its_code(traced) -> None:
    _, reader, script = traced
    data = reader.data
    kernels = {item["name"]: item for item in items(reader, "kernel")}
    softmax = kernels["softmax_64x64_f32"]
    lines = [data["sources"][place] for place in softmax["lines"]]
    assert [(line[0], line[1]) for line in lines] == [(str(script), 7)]
    texts = {title: unpacked(data["texts"][place]) for title, place in softmax["texts"].items()}
    assert list(texts) == ["Group", "Loop nest", "LLVM IR", "Assembly"]
    assert "reduce_max" in texts["Group"]
    assert texts["Loop nest"].startswith("kernel ") and "reduce" in texts["Loop nest"]
    assert "define void @kernel_" in texts["LLVM IR"]
    assert "ret" in texts["Assembly"] and "define void" not in texts["Assembly"]
    product = next(item for name, item in kernels.items() if name.startswith("matmul_64x64x32"))
    assert product["flops"] == 2 * 64 * 64 * 32


def test_rows_hold_every_kind_of_event_in_order_of_time(traced) -> None:
    _, reader, _ = traced
    data = reader.data
    names = [row["name"] for row in data["rows"]]
    assert names == [
        "calls, level  1", "Python, recording", "flush", "plan", "machine code", "kernels",
    ]  # fmt: skip
    for row in data["rows"]:
        assert len(row["starts"]) == len(row["lengths"]) == len(row["items"]) > 0
        ends = [start + length for start, length in zip(row["starts"], row["lengths"])]
        # Starts and lengths are rounded to a hundredth of a microsecond each.
        assert all(end <= start + 0.03 for end, start in zip(ends, row["starts"][1:]))
        assert all(0 <= place < len(data["items"]) for place in row["items"])


def test_the_kernels_lie_inside_their_flush(traced) -> None:
    _, reader, _ = traced
    rows = {row["name"]: row for row in reader.data["rows"]}
    flush = rows["flush"]["starts"][0], rows["flush"]["starts"][0] + rows["flush"]["lengths"][0]
    for start, length in zip(rows["kernels"]["starts"], rows["kernels"]["lengths"]):
        assert flush[0] <= start + 0.02 and start + length <= flush[1] + 0.02


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to check the page's script")
def test_the_script_of_the_page_is_valid(tmp_path: Path) -> None:
    reader = Reader(TEMPLATE.read_text(encoding="utf-8"))
    (code,) = [text for named, text in reader.scripts if "id" not in named]
    path = tmp_path / "page.js"
    path.write_text(code, encoding="utf-8")
    result = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_never_parses_data_as_html() -> None:
    template = TEMPLATE.read_text(encoding="utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in template
    assert "default-src 'none'" in template


def test_escaped_json_is_json_and_cannot_end_its_element() -> None:
    text = escaped_json({"a": HOSTILE})
    assert json.loads(text) == {"a": HOSTILE}
    assert "<" not in text and ">" not in text and "&" not in text


def test_packed_texts_unpack() -> None:
    assert unpacked(packed(HOSTILE)) == HOSTILE


def test_a_script_that_fails_leaves_its_page(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("import torch\ntorch.ones(3).exp().sum().item()\n1 / 0\n")
    result, output = trace(tmp_path, "fails.py")
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr
    assert items(Reader(output.read_text(encoding="utf-8")), "kernel")


def test_events_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    code = "import torch\nfor i in range(20): torch.ones(3).exp().sum().item()"
    result, output = trace(tmp_path, "--most=10", "-c", code)
    assert result.returncode == 0 and "left out" in result.stderr
    assert Reader(output.read_text(encoding="utf-8")).data["leftOut"] > 5


def test_calls_of_functions_are_shown_on_request(tmp_path: Path) -> None:
    code = "import torch\nx = torch.ones(3)\nfor i in range(4): torch.exp(x).sum().item()"
    result, output = trace(tmp_path, "--functions", "-c", code)
    assert result.returncode == 0, result.stderr
    reader = Reader(output.read_text(encoding="utf-8"))
    named = {item["name"]: item for item in items(reader, "function")}
    assert {"aten::exp", "aten::sum", "aten::item"} <= set(named)
    (line,) = named["aten::exp"]["lines"]
    assert reader.data["sources"][line][:2] == ["<string>", 3]


def test_wrong_options_are_named(tmp_path: Path) -> None:
    for words, sentence in (
        (["--most", "many"], "--most needs a number, got 'many'"),
        (["--most"], "--most needs a value after it"),
        ([], "name a script"),
        (["--loud", "x.py"], "unknown option --loud"),
    ):
        result, output = trace(tmp_path, *words)
        assert result.returncode == 2 and sentence in result.stderr
        assert not output.exists()


def test_a_training_script_is_traced_whole(tmp_path: Path) -> None:
    script = ROOT / "examples" / "train_digits.py"
    result, output = trace(tmp_path, str(script), "--epochs", "1")
    assert result.returncode == 0 and "test accuracy" in result.stdout
    reader = Reader(output.read_text(encoding="utf-8"))
    assert len(items(reader, "kernel")) > 30
    assert any(item["name"] == "optimizer step" for item in items(reader, "flush"))
    own = {number for file, number, _ in reader.data["sources"] if file == str(script)}
    assert len(own) > 8
    assert output.stat().st_size < 3_000_000


def test_the_module_does_the_same(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "rushlight.viz",
        "-c",
        "import torch; torch.ones(3).sum().item()",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, (tmp_path / "trace.html").exists()) == (0, True), result.stderr
