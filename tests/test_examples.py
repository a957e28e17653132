"""Every example runs, learns what it says, and gives on PyTorch what it gives here."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RESULT = re.compile(r"^([a-z][^:]*): (-?\d+\.\d+)$", re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
HAS_TORCH = importlib.util.find_spec("torch") is not None

Results = dict[str, float]


def output_of(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", *command], capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def predicts_up_to_the_noise(results: Results) -> bool:
    error, noise = results["test error"], results["noise that no model can predict"]
    return noise / 2 < error < 1.5 * noise


def separates_the_arms(results: Results) -> bool:
    return results["test accuracy"] >= 0.97


def draws_better_than_the_mean(results: Results) -> bool:
    return results["test error"] < 0.4 * results["error of always drawing the mean picture"]


def finds_pure_groups(results: Results) -> bool:
    return results["purity"] > 0.85


def gains_from_its_own_labels(results: Results) -> bool:
    return results["accuracy after self-training"] > results["accuracy with 60 labels"] > 0.7


def fills_in_better_than_the_mean(results: Results) -> bool:
    return results["test error"] < 0.75 * results["error of filling in the mean patch"]


def walks_nearly_the_best_way(results: Results) -> bool:
    return results["mean reward"] > results["best possible reward"] - 0.05


CLAIMS: dict[str, Callable[[Results], bool]] = {
    "regression": predicts_up_to_the_noise,
    "classification": separates_the_arms,
    "autoencoder": draws_better_than_the_mean,
    "k_means": finds_pure_groups,
    "self_training": gains_from_its_own_labels,
    "masked_prediction": fills_in_better_than_the_mean,
    "reinforce": walks_nearly_the_best_way,
}


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CLAIMS, "train_digits"}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_the_example_learns_and_agrees_with_pytorch(name: str) -> None:
    script = str(EXAMPLES / f"{name}.py")
    printed = output_of("-m", "rushlight", "run", script)
    results = {label: float(value) for label, value in RESULT.findall(printed)}
    assert CLAIMS[name](results), printed
    if HAS_TORCH:
        assert_same_report(printed, output_of(script))


@pytest.mark.slow
def test_the_digits_are_learned_as_by_pytorch(tmp_path: Path) -> None:
    script = str(EXAMPLES / "train_digits.py")
    saved = tmp_path / "digits.pt"
    printed = output_of("-m", "rushlight", "run", script, "--save", str(saved))
    lines = printed.splitlines()
    assert lines[-1] == f"saved to {saved}" and saved.stat().st_size > 100_000
    assert len(lines) == 11
    assert float(NUMBER.findall(lines[-2])[-1]) >= 97.0
    if HAS_TORCH:
        assert_same_report("\n".join(lines[:-1]), output_of(script))


def assert_same_report(ours: str, theirs: str) -> None:
    """The same words; numbers within 5 %, which leaves room for a few hundred steps in which
    rounding errors grow, and is far less than another seed changes."""
    assert NUMBER.sub("#", ours).strip() == NUMBER.sub("#", theirs).strip()
    got = [float(number) for number in NUMBER.findall(ours)]
    expected = [float(number) for number in NUMBER.findall(theirs)]
    assert got == pytest.approx(expected, rel=0.05, abs=0.005), f"{ours}\n{theirs}"
