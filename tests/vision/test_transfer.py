"""Downloads resume and are checked; archives from strangers may not write elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rushlight.vision.datasets import transfer

CONTENT = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the first answer ends after a third of it."""

    requests: list[str | None] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.requests.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        rest = CONTENT[start:]
        self.wfile.write(rest[: len(rest) // 3] if len(self.requests) == 1 else rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.requests = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/data.bin"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_download_goes_on_where_it_stopped(address: str, tmp_path: Path) -> None:
    transfer.download_url(address, tmp_path, md5=hashlib.md5(CONTENT).hexdigest())
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert Handler.requests == [None, f"bytes={len(CONTENT) // 3}-"]
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_another_checksum_is_an_error_and_leaves_nothing(address: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="another MD5 sum"):
        transfer.download_url(address, tmp_path, md5="0" * 32)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="is there a network"):
        transfer.fetch("http://127.0.0.1:9/none", tmp_path / "none", progress=False)


def test_an_archive_may_not_write_outside_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../escaped.txt", "x")
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("/tmp/../escaped.txt")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "../../etc/passwd"
        tar.addfile(member)
    for name in ("evil.zip", "evil.tar.gz", "link.tar"):
        with pytest.raises(RuntimeError, match="outside"):
            transfer.extract_archive(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "escaped.txt").exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SMALL_ARCHIVE", 1 << 16)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(1 << 20))
    with gzip.open(tmp_path / "bomb.gz", "wb") as file:
        file.write(bytes(1 << 20))
    for name in ("bomb.zip", "bomb.gz"):
        with pytest.raises(RuntimeError, match="refused"):
            transfer.extract_archive(tmp_path / name, tmp_path / name.replace(".", "_"))


def test_archives_are_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("folder/file.txt")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    transfer.extract_archive(tmp_path / "a.tgz", tmp_path / "out")
    assert (tmp_path / "out/folder/file.txt").read_text() == "hello"
