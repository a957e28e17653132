"""The benchmark measures what it says, and the README shows what was measured."""

from __future__ import annotations

import importlib
import importlib.util
import os

import pytest

from benchmarks import __main__ as command
from benchmarks import report
from benchmarks.catalogue import TARGETS, WORKLOADS, describe
from benchmarks.compare import Options, Result, compare
from benchmarks.contention import one_core_taken, slowed
from benchmarks.peers import MAKERS, NotWritten, maker


def a_result(name: str = "mlp_tiny", ratio: float = 2.0, kernels: int = 12) -> Result:
    result = Result(name, threads=2, cold=0.4)
    result.first = {"rushlight": 0.1, "torch": 0.01}
    result.best = {"rushlight": 1e-4, "torch": ratio * 1e-4}
    result.median = dict(result.best)
    result.peak_mb = {"rushlight": 120.0, "torch": 300.0}
    result.ratios = {"torch": [ratio - 0.5, ratio, ratio + 0.1]}
    result.counts = {
        "kernels": kernels, "fallbacks": 0, "compiles_second": 0, "compiles_rate": 0,
        "compiles_short": 0, "kernels_compiled": 9, "python_us": 80.0, "native_us": 20.0,
        "arena_bytes": 4096,
    }  # fmt: skip
    result.roofline = {"gflops": 200.0, "gbs": 11.0, "least_us": 25.0}
    return result


def test_the_readme_shows_what_the_stored_values_say() -> None:
    text = report.README.read_text(encoding="utf-8")
    assert report.with_table(text, report.sittings()) == text


def test_every_promised_workload_has_a_stored_value() -> None:
    expected = report.sittings()[0]
    for name in TARGETS:
        assert (name, "ratio") in expected, name
        assert expected[name, "fallbacks"] == ("0", ""), name
        assert expected[name, "compiles_second"] == ("0", ""), name


def test_every_workload_says_what_it_is() -> None:
    for name in WORKLOADS:
        assert describe(name) != name
        assert "\n" not in describe(name) and "|" not in describe(name)


def test_stored_values_survive_writing_and_reading(tmp_path) -> None:
    expected = report.updated({}, [a_result(), a_result("mlp_784")], "a machine, today", "Fast 1")
    path = tmp_path / "expected.csv"
    report.write(expected, path)
    assert report.read(path) == expected
    assert expected["mlp_tiny", "ratio"] == ("2", "0.35")
    assert expected["mlp_tiny", "kernels"] == ("12", "")


def test_a_new_result_replaces_the_old_one_of_its_workload_alone() -> None:
    expected = report.updated({}, [a_result(), a_result("mlp_784")], "before", "Fast 1")
    expected = report.updated(expected, [a_result(ratio=3.0)], "after", "Fast 1")
    assert expected["mlp_tiny", "ratio"][0] == "3"
    assert expected["mlp_784", "ratio"][0] == "2"
    assert expected["sitting", "machine"][0] == "after"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (a_result(), []),
        (a_result(ratio=9.0), []),  # better is no violation
        (a_result(ratio=1.4), []),  # within the band
        (a_result(ratio=1.2), ["mlp_tiny: ratio is 1.2, expected 2 within 35%"]),
        (a_result(kernels=13), ["mlp_tiny: kernels is 13, expected 12"]),
        (a_result(kernels=11), ["mlp_tiny: kernels is 11, expected 12"]),
        (a_result("mlp_784"), []),  # nothing is stored
    ],
)
def test_what_is_worse_than_stored_is_said(result, said) -> None:
    expected = report.updated({}, [a_result()], "a machine", "Fast 1")
    assert report.violations(expected, result) == said


def test_the_table_has_a_line_for_each_measured_workload() -> None:
    results = [a_result(), a_result("mlp_784")]
    expected = report.updated({}, results, "a machine, 2026-01-31", "Fast 1")
    rows = [line for line in report.table([expected]).splitlines() if line.startswith("| ")]
    assert len(rows) == 3  # the header too
    assert rows[1].split(" | ")[1:] == ["2.00", "4.0", "25%", "120 (300)", "12 |"]
    with pytest.raises(ValueError, match="no place"):
        report.with_table("no markers", [expected])


def test_each_kind_of_processor_has_its_file_and_its_column(tmp_path) -> None:
    older = report.updated({}, [a_result()], "one, 2026-01-31", "Slow 1")
    newer = report.updated(
        {}, [a_result(ratio=3.0), a_result("mlp_784")], "two, 2026-02-01", "Fast"
    )
    report.write(older, tmp_path / "b.csv")
    report.write(newer, tmp_path / "a.csv")
    stored = report.sittings(tmp_path)
    assert stored == [newer, older]
    rows = [line for line in report.table(stored).splitlines() if line.startswith("| ")]
    assert "ratio, Fast, 2026-02-01 | ratio, Slow 1, 2026-01-31" in rows[0]
    assert rows[1].split(" | ")[1:3] == ["3.00", "2.00"]
    assert rows[2].split(" | ")[1:3] == ["2.00", ""]
    assert report.expected_of("AMD EPYC with AVX-512").name == "amd-epyc-avx-512.csv"


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--against", "nothing"]])
def test_unknown_names_are_refused(words, capsys) -> None:
    with pytest.raises(SystemExit):
        command.parsed(words)
    assert "there are" in capsys.readouterr().err


def test_libraries_that_are_not_installed_are_named(monkeypatch, capsys) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert command.installed(["torch", "jax"], command.sys.executable) == []
    assert "jax is not installed" in capsys.readouterr().err


def test_a_workload_is_measured_beside_pytorch() -> None:
    """One short run of the whole machinery: children, turns, losses, counts."""
    pytest.importorskip("torch")
    result = compare("mlp_tiny", ["torch"], Options(repeat=2, seconds=0.04, threads=1))
    assert result.missing == {}  # the losses agree
    assert result.ratio("torch") > 0
    assert result.cold is not None and result.first["rushlight"] > 0
    assert result.counts["compiles_second"] == 0
    assert report.key_of(result) == "mlp_tiny (1 thread)"
    assert "torch" in report.line(result)
    assert 0 < result.share() < 1
    assert result.roofline["gflops"] > 1 and result.roofline["gbs"] > 0.1


def test_steps_are_measured_beside_a_process_that_takes_a_core() -> None:
    alone, beside, ratio = slowed("mlp_tiny", "rushlight", Options(1, 0.05, 1))
    assert alone > 0 and beside > 0
    assert ratio == beside / alone


def test_the_taken_core_is_given_back() -> None:
    before = os.times().children_user
    with one_core_taken():
        pass
    assert os.times().children_user > before


def test_the_sitting_says_what_the_machine_can_do() -> None:
    slower = a_result()
    slower.roofline["gflops"] = 150.0
    text = report.peaks_text([slower, a_result("mlp_784")])
    assert text == "peak 200 GFLOP/s in float32 and 11 GB/s copying memory"
    assert f"{a_result().share():.0%} of the roofline" in report.line(a_result())


@pytest.mark.parametrize("peer", ["jax", "tinygrad"])
def test_a_peer_computes_the_same_losses_or_says_why_not(peer) -> None:
    """In an interpreter without the peer, the reason is reported and the rest is measured."""
    result = compare("logistic_by_hand", [peer], Options(repeat=2, seconds=0.04, threads=1))
    if importlib.util.find_spec(peer) is None:
        assert f"No module named '{peer}'" in result.missing[peer]
    else:
        assert result.missing == {}
        assert result.ratio(peer) > 0
    assert result.median["rushlight"] > 0


@pytest.mark.parametrize("module", ["jax_peer", "tinygrad_peer"])
def test_a_peer_has_all_functions_that_its_workloads_need(module) -> None:
    importlib.import_module(f"benchmarks.peers.{module}")
    assert set(MAKERS) <= set(WORKLOADS)
    for name in MAKERS:
        assert callable(maker(module, f"benchmarks.peers.{module}", name))


@pytest.mark.parametrize("module", ["jax_peer", "tinygrad_peer"])
def test_a_workload_that_is_not_written_for_a_peer_is_named(module) -> None:
    peer = importlib.import_module(f"benchmarks.peers.{module}")
    with pytest.raises(NotWritten, match="loader_epoch is not written for"):
        peer.build("loader_epoch", 1, "")
