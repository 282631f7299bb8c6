"""Tabulated functions against OpenMM's own, through forces that use them."""

import numpy as np
import openmm
import pytest
import torch

from systems.molecules.force_field import compile_system
from systems.molecules.force_field.tables import DiscreteTable, SplineTable, tabulated
from tests.systems.molecules.force_field.openmm_values import DOUBLE, assert_same_as_openmm

RNG = np.random.default_rng(5)


def one_particle(text, functions):
    """A System of one particle whose energy is an expression of x1, y1, z1."""
    system, force = openmm.System(), openmm.CustomCompoundBondForce(1, text)
    system.addParticle(1.0)
    for name, function in functions.items():
        force.addTabulatedFunction(name, function)
    force.addBond([0])
    system.addForce(force)
    return system


def closed(values):
    """The same with the first entry of each axis again at its end."""
    return np.pad(values, [(0, 1)] * values.ndim, mode="wrap")


def flat(values):
    """As OpenMM wants it: the first argument runs fastest."""
    return values.transpose().ravel()


POINTS = torch.tensor(RNG.uniform(-0.5, 1.5, (200, 1, 3)))
WAVE, SHEET, BLOCK = RNG.normal(size=7), RNG.normal(size=(6, 5)), RNG.normal(size=(4, 5, 6))
RANGES = (0.1, 0.9, -0.2, 0.7, 0.0, 1.1)


def continuous(kind, n):
    """A function of n arguments; new each time, since a force takes it over."""
    values, periodic = {"1": WAVE, "2": SHEET, "3": BLOCK}[n], kind == "periodic"
    values = closed(values) if periodic else values
    made = {
        "1": openmm.Continuous1DFunction,
        "2": openmm.Continuous2DFunction,
        "3": openmm.Continuous3DFunction,
    }[n]
    sizes = values.shape if n != "1" else ()
    return made(*sizes, flat(values), *RANGES[: 2 * int(n)], periodic)


@pytest.mark.parametrize("kind", ["open", "periodic"])
@pytest.mark.parametrize(
    ("n", "text"),
    [("1", "f(x1)"), ("2", "f(x1,y1)"), ("3", "f(x1,y1,z1)"), ("3", "1e4*f(0.3,y1,0.7)")],
)
def test_continuous_functions(kind, n, text):
    """Inside and outside the range; outside an open table both are 0."""
    system = one_particle(text, {"f": continuous(kind, n)})
    assert_same_as_openmm(system, compile_system(system), POINTS)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((4,), "x1*f(floor(2*abs(x1)))"),
        ((4,), "x1*f(floor(2*abs(x1))+0.5)"),
        ((4, 5), "x1*f(floor(2*abs(x1)),3)"),
        ((4, 5, 6), "x1*f(floor(abs(x1)),3,5)"),
    ],
)
def test_discrete_functions(sizes, text):
    values = RNG.normal(size=sizes)
    made = getattr(openmm, f"Discrete{len(sizes)}DFunction")
    function = made(*(sizes if len(sizes) > 1 else ()), flat(values))
    system = one_particle(text, {"f": function})
    assert_same_as_openmm(system, compile_system(system), POINTS)


def test_splines_have_two_derivatives():
    table = tabulated(continuous("periodic", "2"))
    x, y = (torch.rand(10, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(table, (x, y))
    assert torch.autograd.gradgradcheck(table, (x, y))


def test_a_spline_through_a_cubic_is_the_cubic():
    """Not-a-knot would be exact everywhere; a natural spline is exact in the value of a line."""
    table = SplineTable(np.linspace(1.0, 3.0, 9), [(0.0, 4.0)], periodic=False)
    x = torch.linspace(0, 4, 33, dtype=DOUBLE)
    torch.testing.assert_close(table(x), 1 + x / 2)
    assert table(torch.tensor([-0.1, 4.1], dtype=DOUBLE)).tolist() == [0, 0]


def test_outside_a_discrete_table_is_no_number():
    table = DiscreteTable(np.arange(3.0))
    assert table(torch.tensor([0.0, 2.4])).tolist() == [0, 2]
    assert table(torch.tensor([-1.0, 3.0])).isnan().all()


def test_bad_tables():
    with pytest.raises(ValueError, match="first value again"):
        SplineTable(np.arange(4.0), [(0.0, 1.0)], periodic=True)
    with pytest.raises(ValueError, match="function: expected one of"):
        tabulated(openmm.System())
