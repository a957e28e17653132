"""Results as text, as a CSV of expected values with bands, and as the README's table.

A row of the CSV is workload, quantity, value, band.  A band is the part of the value that
measurements on one machine may differ by; quantities without one must be equal.  The row of the
workload "sitting" says where and when the rest was measured.  Each kind of processor has a file of
its own: what one does says little of another.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.catalogue import TARGETS, WORKLOADS, describe
from benchmarks.compare import OURS, Result

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmark -->\n", "<!-- end of benchmark -->\n"

SITTING = "sitting"
EXACT = ("kernels", "fallbacks", "compiles_second", "compiles_rate", "compiles_short",
         "kernels_compiled")  # fmt: skip
# Larger is worse for all but these.
BETTER_LARGER = ("ratio", "share")
BANDS = {
    "ratio": 0.35, "share": 0.35, "peak_mb": 0.1, "torch_peak_mb": 0.1, "cold_ms": 0.6,
    "warm_ms": 0.6, "python_us": 0.6, "native_us": 0.6, "arena_bytes": 0.1,
}  # fmt: skip
Expected = dict[tuple[str, str], tuple[str, str]]


def key_of(result: Result) -> str:
    """The workload's name; other numbers of threads than two are said."""
    return result.name if result.threads == 2 else f"{result.name} ({result.threads} thread)"


def figures(result: Result) -> dict[str, float]:
    """The quantities of one result, by the names of the CSV."""
    found: dict[str, float] = {}
    if "torch" in result.ratios:
        found["ratio"] = round(result.ratio("torch"), 2)
        found["torch_peak_mb"] = round(result.peak_mb["torch"])
    if result.roofline:
        found["share"] = round(result.share(), 3)
    found["peak_mb"] = round(result.peak_mb[OURS])
    if result.cold is not None:
        found["cold_ms"] = round(result.cold * 1e3)
    if OURS in result.first:
        found["warm_ms"] = round(result.first[OURS] * 1e3)
    for quantity, value in result.counts.items():
        found[quantity] = round(value)
    return found


def line(result: Result) -> str:
    """One workload for the terminal."""
    ratios = [
        f"{library} {result.median[library] * 1e6:8.0f} us {result.ratio(library):6.2f} "
        f"(best {result.best_ratio(library):5.2f})"
        for library in result.ratios
    ]
    counts = result.counts
    warm = result.first.get(OURS, float("nan")) * 1e3
    compiles = "/".join(
        str(int(counts[f"compiles_{when}"])) if f"compiles_{when}" in counts else "-"
        for when in ("second", "rate", "short")
    )
    text = (
        f"{key_of(result):24} {result.median[OURS] * 1e6:8.0f} us  {'; '.join(ratios)}  "
        f"{result.share():.0%} of the roofline, "
        f"python {counts['python_us']:.0f} native {counts['native_us']:.0f} us, "
        f"{counts['kernels']:.0f} kernels, {counts['fallbacks']:.0f} fallbacks, "
        f"compiles {compiles}, first {(result.cold or 0) * 1e3:.0f}/{warm:.0f} ms, "
        f"settled in {result.settled:.1f} s, "
        f"peak {', '.join(f'{lib} {mb:.0f}' for lib, mb in result.peak_mb.items())} MB"
    )
    return "\n".join([text, *(f"    {lib}: {why}" for lib, why in result.missing.items())])


def peaks_text(results: Iterable[Result]) -> str:
    """What the machine could do at most while the results were measured."""
    found = [result.roofline for result in results if result.roofline]
    if not found:
        return ""
    arithmetic, memory = (max(peaks[q] for peaks in found) for q in ("gflops", "gbs"))
    return f"peak {arithmetic:.0f} GFLOP/s in float32 and {memory:.0f} GB/s copying memory"


def expected_of(processor: str) -> Path:
    """The file of a kind of processor, such as "AMD EPYC with AVX2"."""
    words = re.findall(r"[a-z0-9]+", processor.lower().replace(" with ", " "))
    return EXPECTED / ("-".join(words) + ".csv")


def sittings(folder: Path = EXPECTED) -> list[Expected]:
    """What is stored of each kind of processor, the newest sitting first."""
    found = [read(path) for path in sorted(folder.glob("*.csv"))]
    return sorted(found, key=_day, reverse=True)


def _day(expected: Expected) -> str:
    (day,) = re.findall(r"\d{4}-\d\d-\d\d", expected[SITTING, "machine"][0])
    return day


def _processor(expected: Expected) -> str:
    return expected[SITTING, "processor"][0]


def read(path: Path) -> Expected:
    """(workload, quantity) -> (value, band)."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (r["workload"], r["quantity"]): (r["value"], r["band"]) for r in csv.DictReader(file)
        }


def write(expected: Expected, path: Path) -> None:
    """Rows in the catalogue's order."""
    order = [SITTING, *WORKLOADS]

    def place(key: tuple[str, str]) -> tuple[int, str]:
        return order.index(key[0].split(" (")[0]), key[0]

    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("workload", "quantity", "value", "band"))
        for key in sorted(expected, key=place):
            rows.writerow((*key, *expected[key]))


def updated(
    expected: Expected, results: Iterable[Result], sitting: str, processor: str
) -> Expected:
    """The expected values with those of the results in place of older ones."""
    found = dict(expected)
    found[SITTING, "machine"] = (sitting, "")
    found[SITTING, "processor"] = (processor, "")
    for result in results:
        for key in [k for k in found if k[0] == key_of(result)]:
            del found[key]
        for quantity, value in figures(result).items():
            band = BANDS.get(quantity)
            found[key_of(result), quantity] = (f"{value:g}", "" if band is None else f"{band:g}")
    return found


def violations(expected: Expected, result: Result) -> list[str]:
    """Sentences on what is worse than expected (a ratio that is better is no violation)."""
    found = []
    for quantity, value in figures(result).items():
        wanted, band = expected.get((key_of(result), quantity), ("", ""))
        if not wanted or quantity.startswith("torch_"):
            continue
        number = float(wanted)
        if not band:
            wrong = value != number
        elif quantity in BETTER_LARGER:
            wrong = value < number * (1 - float(band))
        else:
            wrong = value > number * (1 + float(band))
        if wrong:
            within = f" within {float(band):.0%}" if band else ""
            found.append(f"{key_of(result)}: {quantity} is {value:g}, expected {wanted}{within}")
    return found


def table(stored: list[Expected]) -> str:
    """The README's table, a column of ratios for each sitting; the rest is of the newest."""
    newest = stored[0]
    said = "; ".join(expected[SITTING, "machine"][0] for expected in stored)
    ratios = " | ".join(f"ratio, {_processor(expected)}, {_day(expected)}" for expected in stored)
    lines = [
        f"Measured by `python -m benchmarks --record` on {said}. Share, memory and kernels are of",
        f"{_processor(newest)}.",
        "",
        f"| workload | {ratios} | asked | share of the roofline | peak memory, MB (PyTorch) "
        "| kernels a step |",
        "|---" * (len(stored) + 5) + "|",
    ]
    names = dict.fromkeys(workload for workload, _ in newest if workload != SITTING)
    for name in names:
        if (name, "ratio") not in newest:
            continue
        base, _, rest = name.partition(" (")
        found = [expected.get((name, "ratio"), ("", ""))[0] for expected in stored]
        ratios = " | ".join(f"{float(ratio):.2f}" if ratio else "" for ratio in found)
        peak, theirs, kernels = (
            newest[name, quantity][0] for quantity in ("peak_mb", "torch_peak_mb", "kernels")
        )
        share = newest.get((name, "share"), ("", ""))[0]
        part = f"{float(share):.0%}" if share else ""
        words = describe(base) + (f", {rest[:-1]}" if rest else "")
        lines.append(
            f"| {words} | {ratios} | {TARGETS.get(base) or ''} | {part} | {peak} ({theirs}) "
            f"| {kernels} |"
        )
    return "\n".join(lines) + "\n"


def with_table(text: str, stored: list[Expected]) -> str:
    """The README's text with the table as the CSVs have it."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no place for the table: {BEGIN.strip()} {END.strip()}")
    return head + begin + table(stored) + end + tail
