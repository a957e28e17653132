"""Pipelines of data give PyTorch's samples, in PyTorch's order for the same seed."""

from __future__ import annotations

import json
import pickle
import warnings

import pytest

import rushlight
from rushlight.utils import data

torch = pytest.importorskip("torch")

# PyTorch and we say that functions without a name cannot be sent to workers.
pytestmark = pytest.mark.filterwarnings("ignore:Local function is not supported")


def is_odd(x):
    return x % 2 == 1


def parity(x):
    return x % 2


def parity_or_none(x):
    return parity(x) if x else None


def outcome(function, *args):
    """What a call gives, or the type of its error."""
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__


CASES = {
    "map": lambda p, m: list(p(range(5)).map(str)),
    "map a column": lambda p, m: list(p([(1, 2), (3, 4)]).map(str, input_col=1)),
    "map columns": lambda p, m: list(p([(1, 2, 5)]).map(max, input_col=(0, 2))),
    "map to the end": lambda p, m: list(p([(1, 2)]).map(str, input_col=0, output_col=-1)),
    "map a key": lambda p, m: list(p([{"a": 1}]).map(str, input_col="a", output_col="b")),
    "map wrong": lambda p, m: p(range(5)).map(lambda a, b: a),
    "map raises": lambda p, m: list(p(range(5)).map(lambda a: 1 // a)),
    "filter": lambda p, m: list(p(range(7)).filter(is_odd)),
    "filter no bool": lambda p, m: list(p(range(7)).filter(parity)),
    "batch": lambda p, m: (list(p(range(7)).batch(3)), len(p(range(7)).batch(3))),
    "batch dropped": lambda p, m: (
        list(p(range(7)).batch(3, drop_last=True)),
        len(p(range(7)).batch(3, drop_last=True)),
    ),
    "unbatch": lambda p, m: list(p(range(7)).batch(2).batch(2).unbatch(2)),
    "unbatch all": lambda p, m: list(p([[1, [2, [3]]], 4]).unbatch(-1)),
    "unbatch too deep": lambda p, m: list(p([[1], [2]]).unbatch(2)),
    "group": lambda p, m: list(p(range(9)).groupby(parity)),
    "group of a size": lambda p, m: list(p(range(9)).groupby(parity, group_size=2)),
    "group, few wait": lambda p, m: list(
        p([1, 3, 2, 5, 4]).groupby(parity, buffer_size=3, group_size=3,
                                   guaranteed_group_size=2)
    ),
    "group fails": lambda p, m: list(p(range(3)).groupby(lambda x: x, buffer_size=2, group_size=2)),
    "group drops": lambda p, m: list(
        p(range(3)).groupby(lambda x: x, buffer_size=2, group_size=2, drop_remaining=True)
    ),
    "concat": lambda p, m: (list(p([1]).concat(p([2, 3]))), len(p([1]).concat(p([2, 3])))),
    "mux": lambda p, m: list(p([1, 2, 3]).mux(p([4, 5]))),
    "zip": lambda p, m: list(p([1, 2, 3]).zip(p([4, 5]))),
    "fork": lambda p, m: [list(x) for x in p(range(4)).fork(3)],
    "fork one": lambda p, m: list(p(range(4)).fork(1)),
    "fork too far": lambda p, m: list(p(range(9)).fork(2, buffer_size=3)[0]),
    "demux": lambda p, m: [list(x) for x in p(range(5)).demux(2, parity)],
    "demux none": lambda p, m: [list(x) for x in p(range(5)).demux(2, parity_or_none, True)],
    "demux wrong": lambda p, m: list(p(range(5)).demux(2, parity_or_none)[0]),
    "demux too far": lambda p, m: list(p([1] * 9).demux(2, parity, buffer_size=3)[0]),
    "shuffle": lambda p, m: list(p(range(20)).shuffle()),
    "shuffle a bit": lambda p, m: list(p(range(20)).shuffle(buffer_size=4)),
    "shuffle twice": lambda p, m: [list(x) for x in [p(range(9)).shuffle()] * 2],
    "shuffle by seed": lambda p, m: list(p(range(20)).shuffle().set_seed(5)),
    "shuffle off": lambda p, m: list(p(range(20)).shuffle().set_shuffle(False)),
    "shuffle batches": lambda p, m: list(p([[1, 2], [3]]).shuffle(unbatch_level=1)),
    "sampler": lambda p, m: list(m.iter.Sampler(p(range(3)))),
    "shares": lambda p, m: list(p(range(5)).sharding_filter()),
    "maps": lambda p, m: list(m.map.SequenceWrapper([1, 2, 3]).map(str).batch(2)),
    "maps together": lambda p, m: [
        list(m.map.SequenceWrapper([1, 2]).concat(m.map.SequenceWrapper([3]))),
        list(m.map.SequenceWrapper([1, 2]).zip(m.map.SequenceWrapper([3]))),
    ],
    "maps shuffled": lambda p, m: list(m.map.SequenceWrapper(range(9)).shuffle()),
    "no such step": lambda p, m: p([1]).nonesuch(),
    "shown": lambda p, m: (repr(p([1])), str(p([1]).batch(2).map(len))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_step_does_what_pytorchs_does(name: str) -> None:
    found = []
    for library in (rushlight, torch):
        library.manual_seed(3)
        pipes = library.utils.data.datapipes
        found.append(outcome(CASES[name], pipes.iter.IterableWrapper, pipes))
    assert found[0] == found[1]
    assert rushlight.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [None, True, False])
def test_a_loader_seeds_shuffles_and_shares_out(workers: int, shuffle: bool | None) -> None:
    found = []
    for library in (rushlight, torch):
        library.manual_seed(7)
        pipe = library.utils.data.datapipes.iter.IterableWrapper(range(24))
        pipe = pipe.shuffle(buffer_size=6).sharding_filter().batch(3)
        loader = library.utils.data.DataLoader(
            pipe, batch_size=None, num_workers=workers, shuffle=shuffle,
            persistent_workers=workers > 0,
        )  # fmt: skip
        found.append([list(loader), list(loader), library.rand(1).item()])
        del loader
    assert found[0] == found[1]


def test_a_loader_appends_a_shuffler_where_none_is() -> None:
    pipe = data.datapipes.iter.IterableWrapper(range(6))
    with pytest.warns(UserWarning, match="Adding one at the end"):
        loader = data.DataLoader(pipe, batch_size=2, shuffle=True)
    assert isinstance(loader.dataset, data.datapipes.iter.Shuffler)


def test_a_newer_iterator_ends_the_older_one() -> None:
    pipe = data.datapipes.iter.IterableWrapper(range(3))
    old = iter(pipe)
    assert next(old) == 0
    new = iter(pipe)
    assert next(new) == 0
    with pytest.raises(RuntimeError, match="invalidated because another iterator"):
        next(old)
    assert list(new) == [1, 2]


def test_an_iterator_of_a_fork_that_had_one_begins_all_again() -> None:
    one, other = data.datapipes.iter.IterableWrapper(range(3)).fork(2)
    first = iter(one)
    assert next(first) == 0
    assert next(iter(other)) == 0
    with pytest.warns(UserWarning, match="read from the start again"):
        assert list(one) == [0, 1, 2]


def test_an_error_says_which_step_raised_it() -> None:
    pipe = data.datapipes.iter.IterableWrapper([0]).map(outcome, input_col=None)
    assert list(pipe) == ["TypeError"]
    pipe = data.datapipes.iter.IterableWrapper([[1]]).unbatch(2)
    with pytest.raises(IndexError, match=r"thrown by __iter__ of UnBatcherIterDataPipe\(datapipe="):
        list(pipe)


def test_a_pipeline_can_be_pickled() -> None:
    pipe = data.datapipes.iter.IterableWrapper(range(6)).shuffle().batch(2).map(len)
    assert list(pickle.loads(pickle.dumps(pipe))) == [2, 2, 2]
    one, other = data.datapipes.iter.IterableWrapper(range(3)).fork(2)
    next(iter(one))
    one, other = pickle.loads(pickle.dumps([one, other]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(one) == list(other) == [0, 1, 2]


def test_files_are_found_opened_read_and_decoded(tmp_path) -> None:
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "a.json").write_text(json.dumps({"x": 1}))
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "c.bin").write_bytes(b"abc")
    steps = data.datapipes.iter
    found = steps.FileLister(str(tmp_path), recursive=True).open_files("b").routed_decode()
    assert [value for _, value in found] == [{"x": 1}, "two", b"abc"]
    read = steps.FileLister(str(tmp_path), masks="*.txt").open_files().read_from_stream(chunk=2)
    assert [piece for _, piece in read] == ["tw", "o"]
    theirs = torch.utils.data.datapipes.iter.FileLister(str(tmp_path), recursive=True)
    assert list(steps.FileLister(str(tmp_path), recursive=True)) == list(theirs)


def test_a_class_becomes_a_step_and_its_arguments_are_checked() -> None:
    @data.functional_datapipe("doubled_for_this_test")
    class Doubled(data.IterDataPipe[int]):
        @data.argument_validation
        def __init__(self, source: data.IterDataPipe) -> None:
            self.source = source

        @data.runtime_validation
        def __iter__(self):
            for sample in self.source:
                yield sample + sample

    try:
        wrapped = data.datapipes.iter.IterableWrapper
        assert list(wrapped([1, 2]).doubled_for_this_test()) == [2, 4]
        with pytest.raises(RuntimeError, match="Expected an instance as subtype"):
            list(wrapped(["a"]).doubled_for_this_test())
        with data.runtime_validation_disabled():
            assert list(wrapped(["a"]).doubled_for_this_test()) == ["aa"]
        with pytest.raises(TypeError, match="Expected argument 'source' as a IterDataPipe"):
            Doubled([1])
        with pytest.raises(Exception, match="already taken"):
            data.functional_datapipe("doubled_for_this_test")(Doubled)
    finally:
        del data.IterDataPipe.functions["doubled_for_this_test"]


def test_an_uncertain_pipe_is_refused_where_certainty_is_asked_for() -> None:
    @data.non_deterministic
    class Uncertain(data.IterDataPipe):
        pass

    @data.non_deterministic(lambda wild: wild)
    class Sometimes(data.IterDataPipe):
        def __init__(self, wild: bool) -> None:
            pass

    Uncertain()
    with data.guaranteed_datapipes_determinism():
        Sometimes(False)
        with pytest.raises(TypeError, match="is non-deterministic"):
            Sometimes(True)
        with pytest.raises(TypeError, match="is non-deterministic"):
            Uncertain()


def test_streams_close_once_nobody_needs_them(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("text")
    stream = data.datapipes.streams.StreamWrapper((tmp_path / "a.txt").open())
    part = data.datapipes.streams.StreamWrapper((tmp_path / "a.txt").open(), stream)
    stream.close()
    assert not stream.closed
    part.close()
    assert part.closed and stream.closed and stream.file_obj.closed
