"""Every concrete class has a case, and a class without one is noticed."""

import pytest

from boltzgen.base import Bijection, Density
from tests.contracts.cases import BIJECTIONS, DENSITIES, OBJECTIVES, TARGETS
from tests.contracts.discovery import concrete_classes, concrete_subclasses, import_all


@pytest.mark.parametrize(
    ("base", "cases"), [(Bijection, BIJECTIONS), (Density, DENSITIES)], ids=["bijection", "density"]
)
def test_every_flow_class_has_a_case(base, cases):
    import_all("boltzgen")
    assert concrete_subclasses(base, "boltzgen") == {type(case.make()) for case in cases.values()}


def test_every_target_has_a_case():
    found = concrete_classes("systems", ("denergy_dc",), ("self", "c"))
    assert found == {type(case.make()) for case in TARGETS.values()}


def test_every_objective_has_a_case():
    parameters = ("density", "batch", "step", "generator")
    found = concrete_classes("boltzgen.objectives", ("__call__", "forward"), parameters)
    assert found == {type(case.make()) for case in OBJECTIVES.values()}


def test_a_class_without_a_case_is_noticed():
    class Planted(Bijection):
        def _forward(self, x, c):
            return x, c.sum(-1)

        def _inverse(self, z, c):
            return z, c.sum(-1)

    Planted.__module__ = "planted.flows"
    assert concrete_subclasses(Bijection, "planted") == {Planted}
    assert concrete_subclasses(Density, "planted") == set()
    Planted.__name__ = "_Planted"
    assert concrete_subclasses(Bijection, "planted") == set()


def test_only_public_concrete_classes_of_the_package_count(monkeypatch, tmp_path):
    (tmp_path / "planted_package").mkdir()
    (tmp_path / "planted_package" / "__init__.py").write_text("")
    (tmp_path / "planted_package" / "inner.py").write_text(
        "from abc import ABC, abstractmethod\n"
        "from typing import Protocol\n"
        "from systems.toys import DoubleWell2D\n"
        "class Shape(Protocol):\n    def energy(self, x): ...\n"
        "class Base(ABC):\n    @abstractmethod\n    def energy(self, x): ...\n"
        "class _Hidden(Base):\n    def energy(self, x): ...\n"
        "class Seen(_Hidden):\n    pass\n"
        "class Other:\n    pass\n"
        "class Narrow:\n    def energy(self): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = concrete_classes("planted_package", ("energy",), ("x",))
    assert {cls.__name__ for cls in found} == {"Seen"}
    assert import_all("planted_package") == ["planted_package", "planted_package.inner"]


def test_an_absent_package_has_no_classes():
    assert import_all("boltzgen_no_such_package") == []
