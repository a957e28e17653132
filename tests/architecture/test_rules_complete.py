"""Every primitive has exactly one row for each concern, in the file of its family."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import rushlight
from rushlight.tape.primitive import Primitive, RuleTable, all_primitives

ROOT = Path(rushlight.__file__).parent
# Concern: the folder that holds its rows, and the table that its `table.py` keeps.
CONCERNS = ("reference", "vjp", "jvp", "batching", "lowering")
MOST_PRIMITIVES = 124


def load_all(folder: str) -> None:
    package = importlib.import_module(f"rushlight.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"rushlight.{folder}.{module.name}")


def own_primitives() -> list[Primitive]:
    load_all("primitives")
    return [primitive for primitive in all_primitives() if not primitive.name.startswith("test_")]


def table_of(concern: str) -> RuleTable:
    load_all("primitives")
    load_all(concern)
    return importlib.import_module(f"rushlight.{concern}.table").rules


@pytest.mark.parametrize("concern", CONCERNS)
def test_every_primitive_has_a_row(concern: str) -> None:
    missing = [sentence for sentence in table_of(concern).missing() if " test_" not in sentence]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("concern", CONCERNS)
def test_every_row_belongs_to_a_primitive(concern: str) -> None:
    names = {primitive.name for primitive in all_primitives()}
    assert set(table_of(concern).rows) <= names


def test_every_primitive_is_defined_in_the_file_of_its_family() -> None:
    families = {path.stem for path in (ROOT / "primitives").glob("*.py")}
    wrong = [primitive.name for primitive in own_primitives() if primitive.family not in families]
    assert wrong == []


def test_the_set_of_primitives_stays_small() -> None:
    names = [primitive.name for primitive in own_primitives()]
    assert len(names) <= MOST_PRIMITIVES, f"{len(names)} primitives: {' '.join(names)}"


@pytest.fixture
def toy_primitives(monkeypatch: pytest.MonkeyPatch) -> list[Primitive]:
    """Two primitives that exist in this test only."""
    monkeypatch.setattr("rushlight.tape.primitive._REGISTRY", {})
    return [
        Primitive(name, "toys", "elementwise", 1, lambda x: (x.shape, x.dtype))
        for name in ("spin", "hum")
    ]


def test_a_missing_row_is_reported_with_the_file_to_edit(toy_primitives: list[Primitive]) -> None:
    table = RuleTable("vjp")
    table.define(toy_primitives[0], "rule", "rushlight.vjp.toys")
    assert table.missing() == ["vjp/toys.py has no rule for primitive hum"]


def test_a_second_row_is_refused(toy_primitives: list[Primitive]) -> None:
    table = RuleTable("vjp")
    table.define(toy_primitives[0], "rule", "rushlight.vjp.toys")
    with pytest.raises(ValueError, match="primitive spin has a second row in toys"):
        table.define(toy_primitives[0], "rule", "rushlight.vjp.toys")


def test_a_row_in_another_familys_file_is_refused(toy_primitives: list[Primitive]) -> None:
    with pytest.raises(ValueError, match=r"belongs in vjp/toys.py, not in tools.py"):
        RuleTable("vjp").define(toy_primitives[0], "rule", "rushlight.vjp.tools")


def test_a_primitive_is_defined_once(toy_primitives: list[Primitive]) -> None:
    with pytest.raises(ValueError, match="primitive spin is defined twice"):
        Primitive("spin", "toys", "elementwise", 1, lambda x: (x.shape, x.dtype))


def test_an_unknown_property_is_refused(toy_primitives: list[Primitive]) -> None:
    with pytest.raises(ValueError, match=r"primitive buzz: unknown properties \['shiny'\]"):
        Primitive(
            "buzz", "toys", "elementwise", 1, lambda x: (x.shape, x.dtype), properties="shiny"
        )


def test_commutative_primitives_give_the_same_bits_either_way() -> None:
    """For numbers of every sort, zeros of both signs, infinities and NaN among them."""
    numbers = np.array([0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-310, 3e38])
    x, y = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
    load_all("reference")
    for primitive in own_primitives():
        if primitive.commutative and not primitive.name.startswith("bitwise"):
            with np.errstate(all="ignore"):
                one, other = primitive.reference(x, y), primitive.reference(y, x)
            np.testing.assert_array_equal(one, other, err_msg=primitive.name)
            known = ~np.isnan(one)
            np.testing.assert_array_equal(np.signbit(one[known]), np.signbit(other[known]))
