"""Object code survives on disk only where it is private, whole and made for this machine."""

import ctypes
import os
import threading
import time

import pytest

from rushlight.base.errors import InternalError
from rushlight.base.later import Later
from rushlight.base.target import without_avx512
from rushlight.runtime.host import host_target
from rushlight.runtime.kernel_cache import DiskCache, KernelCache, kernel_key

TEXT = f"""
target triple = "{host_target().triple}"
define i64 @answer() {{
  ret i64 42
}}
"""
needs_owners = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX owners")


def get(cache, text=TEXT):
    return cache.get(text, ["answer"], lambda: text, host_target())


def entries(directory):
    return sorted(directory.glob("*.obj"))


def test_second_process_finds_the_object_code(tmp_path):
    first, second = (KernelCache(DiskCache(tmp_path / "c")) for _ in range(2))
    get(first)
    get(second)
    assert (first.compiles, second.compiles) == (1, 0)
    assert second.disk.hits == 1


def test_second_request_in_one_process_compiles_nothing():
    cache = KernelCache()
    assert get(cache) is get(cache)
    assert cache.compiles == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "foreign"])
def test_damaged_entry_is_discarded_and_compiled_anew(tmp_path, damage):
    get(KernelCache(DiskCache(tmp_path / "c")))
    path = entries(tmp_path / "c")[0]
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
    elif damage == "truncate":
        del data[-10:]
    elif damage == "empty":
        data.clear()
    else:
        data[:8] = b"whatever"
    path.write_bytes(bytes(data))
    cache = KernelCache(DiskCache(tmp_path / "c"))
    get(cache)
    assert cache.compiles == 1 and cache.disk.discarded == 1
    again = KernelCache(DiskCache(tmp_path / "c"))
    get(again)
    assert again.compiles == 0


@needs_owners
def test_directory_open_to_others_is_refused(tmp_path):
    directory = tmp_path / "c"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    cache = KernelCache(DiskCache(directory))
    get(cache)
    assert "open to others (mode 755); chmod 700 it" in cache.disk.disk_refusal
    assert not entries(directory)


@needs_owners
def test_linked_directory_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "c").symlink_to(tmp_path / "real")
    cache = KernelCache(DiskCache(tmp_path / "c"))
    get(cache)
    assert "is not a directory of its own" in cache.disk.disk_refusal


@needs_owners
def test_linked_entry_is_not_followed(tmp_path):
    get(KernelCache(DiskCache(tmp_path / "c")))
    path = entries(tmp_path / "c")[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    cache = KernelCache(DiskCache(tmp_path / "c"))
    get(cache)
    assert cache.compiles == 1


@needs_owners
def test_directory_is_made_private(tmp_path):
    get(KernelCache(DiskCache(tmp_path / "c")))
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700


def test_longest_unused_entries_go_first(tmp_path):
    disk = DiskCache(tmp_path / "c", limit_bytes=3000)
    disk._stores = 1  # the first store starts a sweep of its own, beside the one asked for here
    for number in range(5):
        disk.store(f"key{number}", bytes(1000))
        path = tmp_path / "c" / f"key{number}.obj"
        if path.exists():
            os.utime(path, (number, number))
    disk.load("key0")  # used just now
    disk.sweep()
    assert [p.name for p in entries(tmp_path / "c")] == ["key0.obj", "key4.obj"]


def test_unwritable_place_is_a_miss_with_a_reason(tmp_path):
    (tmp_path / "file").write_text("")
    cache = KernelCache(DiskCache(tmp_path / "file" / "c"))
    get(cache)
    assert cache.compiles == 1 and cache.disk.disk_refusal.startswith("cannot use")


def test_key_depends_on_text_and_machine():
    host = host_target()
    keys = {kernel_key("a", host), kernel_key("b", host), kernel_key("a", without_avx512(host))}
    assert len(keys) == 3


def test_longest_unused_library_is_dropped_but_runs_while_it_is_held():
    texts = [TEXT.replace("42", str(number)) for number in range(3)]
    cache = KernelCache(limit_bytes=1)
    first = get(cache, texts[0])
    for text in texts[1:]:
        get(cache, text)
    assert cache.evictions == 2
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(first["answer"])() == 0
    get(cache, texts[0])
    assert cache.compiles == 4


def _refuse_to_write():
    raise AssertionError("the text was asked for again")


def test_code_prepared_by_another_thread_is_only_linked(tmp_path):
    cache = KernelCache(DiskCache(tmp_path / "c"))
    coming = Later(lambda: cache.prepare(TEXT, lambda: TEXT, host_target()))
    while not coming.is_over():
        time.sleep(0.001)
    library = cache.get(TEXT, ["answer"], _refuse_to_write, host_target())
    answer = ctypes.CFUNCTYPE(ctypes.c_int64)(library["answer"])
    assert answer() == 42 and cache.compiles == 1
    # It is on the disk, and prepared no second time.
    other = KernelCache(DiskCache(tmp_path / "c"))
    other.prepare(TEXT, _refuse_to_write, host_target())
    other.get(TEXT, ["answer"], _refuse_to_write, host_target())
    assert (other.compiles, other.loads) == (0, 1)


def test_what_fails_beside_the_program_is_told_to_whoever_asks():
    cache = KernelCache()
    coming = Later(lambda: cache.prepare("bad", lambda: "no such text", host_target()))
    while not coming.is_over():
        time.sleep(0.001)
    with pytest.raises(InternalError):
        cache.get("bad", ["answer"], lambda: "no such text", host_target())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_forked_child_waits_for_no_thread_of_its_parent(tmp_path):
    hold = threading.Event()
    coming = Later(hold.wait)
    child = os.fork()
    if child == 0:
        os._exit(0 if coming.is_over() else 1)
    _, status = os.waitpid(child, 0)
    still = coming.is_over()
    hold.set()
    assert os.waitstatus_to_exitcode(status) == 0 and not still
