"""The restricted pickle reader reads plain data as pickle does, and runs nothing."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rushlight.serialization.names import allowed_names, safe_globals
from rushlight.serialization.restricted_pickle import RestrictedUnpickler

KEYS = st.one_of(st.integers(), st.text(), st.booleans(), st.none(), st.binary(max_size=9))
SCALARS = st.one_of(KEYS, st.floats(allow_nan=False), st.complex_numbers(allow_nan=False))
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(
            lambda d: collections.OrderedDict((str(k), v) for k, v in d.items())
        ),
        st.sets(KEYS, max_size=4),
        st.binary(max_size=20).map(bytearray),
    ),
    max_leaves=20,
)


def read(data: bytes):
    return RestrictedUnpickler(data, allowed_names()).load()


@settings(max_examples=600, deadline=None)
@given(value=PLAIN, protocol=st.integers(2, 5))
def test_plain_data_is_read_as_pickle_reads_it(value, protocol):
    data = pickle.dumps(value, protocol)
    ours = read(data)
    assert ours == value
    assert type(ours) is type(value)


@pytest.mark.parametrize("protocol", [0, 1])
def test_the_oldest_protocols_are_read(protocol):
    value = {"a": [1, -(2**70), 2.5, None, True, False], "t": (1, (2, ())), "u": "é\n\\x"}
    assert read(pickle.dumps(value, protocol)) == value


def test_shared_and_cyclic_structures_keep_their_identity():
    shared: list = []
    cyclic: list = [shared, shared]
    cyclic.append(cyclic)
    ours = read(pickle.dumps(cyclic))
    assert ours[0] is ours[1]
    assert ours[2] is ours


class _Evil:
    def __reduce__(self):
        return os.system, ("echo attacked > /dev/null",)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (pickle.dumps(_Evil(), 2), "posix.system"),
        (pickle.dumps(_Evil(), 4), "posix.system"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"crushlight.serialization.saving\nsave\n.", "rushlight.serialization.saving.save"),
        (b"ctorch._utils\n_rebuild_wrapper_subclass\n.", "torch._utils._rebuild_wrapper_subclass"),
    ],
)
def test_a_name_that_is_not_allowed_is_refused_and_named(payload, named):
    with pytest.raises(pickle.UnpicklingError, match=named.replace(".", r"\.")):
        read(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"(S'x'\nios\nsystem\n.",  # INST
        b"\x82\x01.",  # EXT1
        b"\x97.",  # NEXT_BUFFER
        b"I1\nI2\n\x86R.",  # a number called
        b"ccollections\nOrderedDict\n}S'__init__'\nNsb.",  # state set on a class
        b"]}S'append'\nNsb.",  # state set on a list
        b"ccollections\nOrderedDict\n)R}S'items'\nNsb.",  # a method shadowed
        b"ctorch\nSize\n}S'build'\nNsb.",
        b"cbuiltins\nbytearray\n(L1000000000000L\ntR.",  # a number for a length
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
    ],
)
def test_opcodes_that_could_run_code_or_change_classes_are_refused(payload):
    with pytest.raises(pickle.UnpicklingError):
        read(payload)


def test_every_truncation_gives_a_clear_error():
    data = pickle.dumps({"a": [1, 2.5, "text", b"bytes", (1, 2)], "b": {3, 4}}, 2)
    with pytest.raises(EOFError):
        read(b"")
    for length in range(1, len(data)):
        with pytest.raises(pickle.UnpicklingError):
            read(data[:length])


def test_damaged_pickles_raise_unpickling_errors_only():
    rng = random.Random(0)
    value = {"a": [1, 2.5, "text", b"bytes", (1, 2)], "o": collections.OrderedDict(x=1)}
    originals = [pickle.dumps(value, protocol) for protocol in range(6)]
    for _ in range(20000):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(pickle.UnpicklingError, EOFError):
            read(bytes(data))


@pytest.mark.parametrize(
    "payload",
    [
        b"X" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"\x8d" + struct.pack("<Q", 2**63) + b".",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b".",
        b"\x8b" + struct.pack("<i", -5) + b".",
        b"\x96" + struct.pack("<Q", 2**40) + b".",
        b"I" + b"9" * 100_000 + b"\n.",
    ],
)
def test_absurd_lengths_are_refused_before_memory_is_claimed(payload):
    with pytest.raises(pickle.UnpicklingError):
        read(payload)


def test_keys_whose_hash_takes_exponential_time_are_refused():
    doubled = b")" + b"2\x86" * 200  # a tuple of twice a tuple of twice a tuple ...
    started = time.perf_counter()
    with pytest.raises(pickle.UnpicklingError, match="key"):
        read(b"}" + doubled + b"Ns.")
    assert time.perf_counter() - started < 5


class Point:
    def __init__(self, x):
        self.x = x


def test_a_class_allowed_by_the_user_is_made():
    data = pickle.dumps(Point(3), 2)
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        read(data)
    with safe_globals([Point]):
        assert read(data).x == 3
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        read(data)
