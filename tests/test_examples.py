"""Every example runs, learns what it says, and gives on PyTorch what it gives here."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RESULT = re.compile(r"^([a-z][^:\n]*): (-?\d+\.\d+)$", re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_PILLOW = importlib.util.find_spec("PIL") is not None

Results = dict[str, float]


def output_of(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "RUSHLIGHT_VERIFY": "0"},  # as users run them
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


# Imports PyTorch once; each script that is named then runs in a fork of its own.
SERVER = """
import os, runpy, sys, traceback
import torch
for line in sys.stdin:
    script, place = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv, status = [script], 0
        try:
            runpy.run_path(script, run_name="__main__")
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="session")
def on_pytorch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """What a script prints on PyTorch.  Its import is most of a short script's time."""
    if not hasattr(os, "fork"):
        yield output_of
        return
    folder = tmp_path_factory.mktemp("on_pytorch")
    command = [sys.executable, "-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning"]
    server = subprocess.Popen(
        [*command, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None and server.stdout is not None

    def printed(script: str) -> str:
        place = folder / f"{Path(script).stem}.txt"
        server.stdin.write(f"{script}\t{place}\n")
        server.stdin.flush()
        status = server.stdout.readline().strip()
        assert status == "0", place.read_text(encoding="utf-8")
        return place.read_text(encoding="utf-8")

    yield printed
    server.stdin.close()
    server.wait(timeout=60)
    server.stdout.close()


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


def notices_what_it_has_not_seen(results: Results) -> bool:
    return results["area under the curve"] > 0.9


def finds_better_features_than_pixels(results: Results) -> bool:
    few = "with 30 labels"
    return results[f"accuracy on features {few}"] > results[f"accuracy on pixels {few}"] + 0.02


def draws_what_was_asked_for(results: Results) -> bool:
    return results["drawings that the judge reads as what was asked for"] > 0.85


def draws_all_around_the_ring(results: Results) -> bool:
    near = results["distance from the ring after"] < 0.3 < results["distance from the ring before"]
    return near and results["sectors of twelve that it draws"] >= 11


def knows_the_next_letter(results: Results) -> bool:
    return results["loss after training"] < 0.4 * results["loss of a guess at random"]


def balances_the_pole(results: Results) -> bool:
    return results["steps balanced after"] > 4 * results["steps balanced before"]


def tells_spam(results: Results) -> bool:
    return results["test accuracy"] > 0.93 and results["spam that is found"] > 0.9


def transfers(results: Results) -> bool:
    few = "accuracy on 5 to 9"
    return results[f"{few} by transfer"] > 0.8 and results["accuracy on 0 to 4"] > 0.97


def redraws_better_than_principal_components(results: Results) -> bool:
    errors = [results[f"error of {way}"] for way in ("the autoencoder", "principal components")]
    return errors[0] < errors[1] < results["error of the mean image"]


def finds_the_habits(results: Results) -> bool:
    return results["habits found of three"] == 3 and results["least lift of a rule"] > 1.5


def finds_digits_by_density(results: Results) -> bool:
    way = "agreement with the digits by density of"
    return results[f"{way} features"] > results[f"{way} pixels"] + 0.1


def gains_from_the_other(results: Results) -> bool:
    return results["accuracy after co-training"] > results["accuracy with 30 labels"] + 0.02


def learns_with_signs_only(results: Results) -> bool:
    only = results["different values that a hidden unit takes"] == 2
    return only and results["test accuracy"] > 0.94


def paints_better_than_the_mean(results: Results) -> bool:
    return results["error in the hole"] < 0.7 * results["error of painting the mean picture"]


def loses_nothing_in_sixteen_bits(results: Results) -> bool:
    wide, narrow = (results[f"accuracy in {kind} precision"] for kind in ("single", "mixed"))
    return wide > 0.96 and narrow > wide - 0.02


def knows_what_follows(results: Results) -> bool:
    return results["accuracy on topics never read"] > 0.6


def learns_in_private(results: Results) -> bool:
    return results["test accuracy"] > 0.9


def sees_the_sun_ahead(results: Results) -> bool:
    error = results["mean error after 1920, in sunspots"]
    return error < 0.65 * results["error of saying what was last year"]


def is_a_fair_estimator(results: Results) -> bool:
    number, kind = "share of the variance explained by", "accuracy by"
    better = results[f"{number} a network"] > results[f"{number} one tree"]
    return better and results[f"{kind} a network"] > results[f"{kind} one tree"]


def tells_crosses_from_rings(results: Results) -> bool:
    return results["test accuracy"] > 0.85


CLAIMS: dict[str, Callable[[Results], bool]] = {
    "regression": predicts_up_to_the_noise,
    "classification": separates_the_arms,
    "autoencoder": draws_better_than_the_mean,
    "k_means": finds_pure_groups,
    "self_training": gains_from_its_own_labels,
    "masked_prediction": fills_in_better_than_the_mean,
    "reinforce": walks_nearly_the_best_way,
    "anomaly_detection": notices_what_it_has_not_seen,
    "contrastive": finds_better_features_than_pixels,
    "diffusion": draws_what_was_asked_for,
    "gan": draws_all_around_the_ring,
    "next_word": knows_the_next_letter,
    "q_learning": balances_the_pole,
    "spam": tells_spam,
    "transfer": transfers,
    "principal_components": redraws_better_than_principal_components,
    "association_rules": finds_the_habits,
    "clustering": finds_digits_by_density,
    "co_training": gains_from_the_other,
    "custom_function": learns_with_signs_only,
    "inpainting": paints_better_than_the_mean,
    "mixed_precision": loses_nothing_in_sixteen_bits,
    "next_sentence": knows_what_follows,
    "pictures": tells_crosses_from_rings,
    "ppo": balances_the_pole,
    "private": learns_in_private,
    "sunspots": sees_the_sun_ahead,
    "table": is_a_fair_estimator,
}
NEEDS = {"clustering": "sklearn", "table": "sklearn", "ppo": "gymnasium", "pictures": "PIL"}
# Rounding grows in them until two runs have nothing in common: games of two networks, and an agent
# whose every action changes what it learns from.  The claim must hold all the same.
CHAOTIC = {"gan", "q_learning", "contrastive", "ppo", "clustering"}
# A rounding error turns a sign, or a choice of the surest, and from there on all is other.
CHAOTIC |= {"custom_function", "co_training"}
# Compared on request only, by `-m endurance`: half of their time is PyTorch's.
LONG = {
    "anomaly_detection", "diffusion", "inpainting", "masked_prediction", "mixed_precision",
    "next_sentence", "next_word", "principal_components", "transfer",
}  # fmt: skip
# It is rushlight's own estimator, whatever `torch` is.
OURS = {"table"}
# These read pictures by torchvision, which not every PyTorch has.
if importlib.util.find_spec("torchvision") is None:
    OURS |= {"pictures"}


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CLAIMS, "train_digits"}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_the_example_learns_and_agrees_with_pytorch(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    script, picture = str(EXAMPLES / f"{name}.py"), tmp_path / "drawn.png"
    words = [str(picture)] if HAS_PILLOW else []
    printed = output_of("-m", "rushlight", "run", script, *words)
    if HAS_PILLOW:
        assert_something_is_drawn(picture)
    results = {label: float(value) for label, value in RESULT.findall(printed)}
    assert CLAIMS[name](results), printed
    if HAS_TORCH and name not in CHAOTIC | LONG | OURS:
        assert_same_report(printed, request.getfixturevalue("on_pytorch")(script))


def test_a_folder_of_ones_own_is_learned_and_kept(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for kind, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for i in range(20):  # sizes and formats differ
            picture = image.new(
                "RGB" if i % 2 else "L", (20 + i, 30), shade if i % 2 == 0 else (shade,) * 3
            )
            picture.save(tmp_path / "mine" / kind / f"{i}.{'png' if i % 3 else 'jpg'}")
    script, folder = str(EXAMPLES / "pictures.py"), str(tmp_path / "mine")
    printed = output_of("-m", "rushlight", "run", script, folder)
    assert "32 pictures to learn from: dark, light" in printed
    assert "test accuracy: 1.0000" in printed
    saved = tmp_path / "mine.pt"
    assert printed.endswith(f"saved to {saved}\n") and saved.stat().st_size > 50_000


@pytest.mark.endurance
@pytest.mark.skipif(not HAS_TORCH, reason="compares with PyTorch")
@pytest.mark.parametrize("name", sorted(LONG))
def test_a_long_example_agrees_with_pytorch(name: str, on_pytorch: Callable[[str], str]) -> None:
    script = str(EXAMPLES / f"{name}.py")
    assert_same_report(output_of("-m", "rushlight", "run", script), on_pytorch(script))


@pytest.mark.slow
def test_the_digits_are_learned_as_by_pytorch(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    script, picture = str(EXAMPLES / "train_digits.py"), tmp_path / "hardest.png"
    saved = tmp_path / "digits.pt"
    words = ["--save", str(saved), *([str(picture)] if HAS_PILLOW else [])]
    printed = output_of("-m", "rushlight", "run", script, *words)
    if HAS_PILLOW:
        assert_something_is_drawn(picture)
    lines = printed.splitlines()
    assert lines[-1] == f"saved to {saved}" and saved.stat().st_size > 100_000
    assert len(lines) == 11
    assert float(NUMBER.findall(lines[-2])[-1]) >= 97.0
    if HAS_TORCH:
        there = request.getfixturevalue("on_pytorch")(script)
        assert_same_report("\n".join(lines[:-1]), there)


def assert_same_report(ours: str, theirs: str) -> None:
    """The same words; numbers within 5 %, which leaves room for a few hundred steps in which
    rounding errors grow, and is far less than another seed changes."""
    assert NUMBER.sub("#", ours).strip() == NUMBER.sub("#", theirs).strip()
    got = [float(number) for number in NUMBER.findall(ours)]
    expected = [float(number) for number in NUMBER.findall(theirs)]
    assert got == pytest.approx(expected, rel=0.05, abs=0.005), f"{ours}\n{theirs}"


def assert_something_is_drawn(path: Path) -> None:
    """A picture of a sensible size in which no color covers nearly everything."""
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        wide, high = picture.size
        colors = picture.convert("RGB").getcolors(maxcolors=wide * high)
    assert 80 <= high <= wide <= 700
    assert len(colors) >= 2
    assert max(count for count, _ in colors) < 0.97 * wide * high
