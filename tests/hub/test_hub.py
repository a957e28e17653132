"""Weights at URLs and models of repositories, from a server and folders of the test's own."""

from __future__ import annotations

import hashlib
import io
import threading
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import rushlight
from rushlight import hub


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_hub_dir", None)
    hub.set_dir(tmp_path / "hub")
    return tmp_path / "hub"


@pytest.fixture
def server():
    """Serves `files`; counts requests; can break off; understands ranges."""
    files: dict[str, bytes] = {}
    state = {"requests": [], "break_after": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files[self.path]
            asked = self.headers.get("Range")
            state["requests"].append(asked)
            start = int(asked[len("bytes=") : -1]) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = state["break_after"] or len(content)
            self.wfile.write(content[start:end])

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield files, state, f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def saved(value) -> bytes:
    stream = io.BytesIO()
    rushlight.save(value, stream)
    return stream.getvalue()


def test_weights_are_fetched_once_and_their_hash_is_checked(home, server, capsys):
    files, state, url = server
    content = saved({"w": rushlight.arange(3.0)})
    digest = hashlib.sha256(content).hexdigest()
    files[f"/net-{digest[:8]}.pth"] = content
    for _ in range(2):
        loaded = hub.load_state_dict_from_url(f"{url}/net-{digest[:8]}.pth", check_hash=True)
        assert loaded["w"].tolist() == [0.0, 1.0, 2.0]
    assert len(state["requests"]) == 1 and "100%" in capsys.readouterr().err
    files["/net-00000000.pth"] = content
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.load_state_dict_from_url(f"{url}/net-00000000.pth", check_hash=True, progress=False)
    assert not list((home / "checkpoints").glob("*00000000*"))
    with pytest.raises(ValueError, match="no file name"):
        hub.load_state_dict_from_url(f"{url}/x", file_name="../x")


def test_a_broken_transfer_is_resumed(home, server, tmp_path):
    files, state, url = server
    content = bytes(range(256)) * 40
    files["/data.bin"] = content
    target = tmp_path / "data.bin"
    prefix = hashlib.sha256(content).hexdigest()[:8]
    state["break_after"] = 1000
    with pytest.raises(Exception, match=r"incomplete|IncompleteRead"):
        hub.download_url_to_file(f"{url}/data.bin", str(target), prefix, progress=False)
    assert not target.exists()
    state["break_after"] = None
    hub.download_url_to_file(f"{url}/data.bin", str(target), prefix, progress=False)
    assert target.read_bytes() == content and state["requests"] == [None, "bytes=1000-"]


CONF = '''
dependencies = ["numpy"]
from parts import make_it


def net(size=2, **options):
    """A net."""
    return make_it(size), options


def _private():
    pass
'''


def test_models_of_a_local_folder_are_listed_and_made(tmp_path):
    (tmp_path / "hubconf.py").write_text(CONF)
    (tmp_path / "parts.py").write_text("def make_it(size):\n    return [0] * size\n")
    assert hub.load(str(tmp_path), "net", 3, source="local", a=1) == ([0, 0, 0], {"a": 1})
    with pytest.raises(RuntimeError, match="Cannot find callable other"):
        hub.load(str(tmp_path), "other", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(tmp_path), "net", source="elsewhere")
    (tmp_path / "hubconf.py").write_text("dependencies = ['no_such_package']\n")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        hub.load(str(tmp_path), "net", source="local")


def archive(names: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, text in names.items():
            file.writestr(name, text)
    return stream.getvalue()


def test_repositories_are_fetched_once_if_trusted(home, server, monkeypatch, capsys):
    files, state, url = server
    files["/repo"] = archive({"me-it-1/hubconf.py": "def net():\n    '''Doc.'''\n    return 5\n"})
    plain = urllib.request.Request
    monkeypatch.setattr(
        hub.urllib.request, "Request", lambda _, **options: plain(f"{url}/repo", **options)
    )
    assert hub.load("me/it:v1", "net", trust_repo=True) == 5
    assert hub.list("me/it:v1", trust_repo="check") == ["net"]  # trusted since
    assert hub.help("me/it:v1", "net") == "Doc." and len(state["requests"]) == 1
    assert (home / "me_it_v1" / "hubconf.py").exists() and "Using cache" in capsys.readouterr().err
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(Exception, match="Untrusted"):
        hub.load("else/where:v1", "net")
    files["/repo"] = archive({"x/hubconf.py": "", "../../evil.py": ""})
    with pytest.raises(ValueError, match="outside"):
        hub.load("me/it:v2", "net", trust_repo=True)
    with pytest.raises(ValueError, match="form owner/repository"):
        hub.load("../it", "net")


def test_the_older_name_is_there():
    from rushlight.utils import model_zoo

    assert model_zoo.load_url is hub.load_state_dict_from_url
