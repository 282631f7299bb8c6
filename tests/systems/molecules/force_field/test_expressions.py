"""The expression language against OpenMM's own evaluation of the same text."""

import openmm
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from systems.molecules.force_field import Expression, ExpressionError
from tests.systems.molecules.force_field.openmm_values import DOUBLE

NAMES = ("r", "a", "b", "lambda")


def by_openmm(text, values):
    """Evaluate text with r, a, b, lambda by a CustomBondForce."""
    force = openmm.CustomBondForce(text)
    for name in NAMES[1:]:
        force.addPerBondParameter(name)
    force.addBond(0, 1, [values[name] for name in NAMES[1:]])
    system = openmm.System()
    for _ in range(2):
        system.addParticle(1.0)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions([[0, 0, 0], [values["r"], 0, 0]])
    return context.getState(energy=True).getPotentialEnergy()._value


def ours(text, values):
    tensors = {name: torch.tensor([value], dtype=DOUBLE) for name, value in values.items()}
    return Expression(text)(tensors, like=tensors["r"]).item()


VALUES = {"r": 0.7, "a": -1.3, "b": 2.25, "lambda": 0.4}
TEXTS = [
    "sqrt(r)", "exp(a)", "log(b)", "sin(a)", "cos(a)", "sec(a)", "csc(a)", "tan(a)", "cot(a)",
    "asin(r)", "acos(r)", "atan(a)", "atan2(a,b)", "atan2(b,a)", "sinh(a)", "cosh(a)", "tanh(a)",
    "erf(a)", "erfc(a)", "step(a)", "step(b)", "step(0)", "delta(a)", "delta(a-a)", "square(a)",
    "cube(a)", "recip(a)", "min(a,b)", "max(a,b)", "abs(a)", "floor(a)", "ceil(a)",
    "select(a,b,r)", "select(0,b,r)", "select(a-a,b,r)",
    "a+b*r", "a-b-r", "a/b/r", "-r^2", "(-r)^2", "2^-r", "r^2^b", "a^3", "a^-2", "-a*b", "--a",
    "2*-r", "1/3", "1e-1*r+2.5E+1", ".5*r", "3.*r", "1.5e2", "lambda*r", "0.5*(1-1/3)^2*r",
    "u*v; v=u+1; u=r*a", "u; u=v^2; v=w-1; w=3*r", " a * r ;", "sqrt(4)*r", "r+007",
    "a; a=2*r; b=3*a", "b; a=2*r; b=3*a", "a*r; a=2*a", "a*r; a=1; a=2", "a+b; a=b; b=a; a=r",
    "a*step(r-lambda)+select(step(b-1),exp(-r),2)",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_same_value_as_openmm(text):
    assert ours(text, VALUES) == pytest.approx(by_openmm(text, VALUES), rel=1e-13, abs=1e-14)


def _trees():
    leaves = st.sampled_from([*NAMES, "2", "0.5", "3.25"])

    def grow(inner):
        binary = st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), inner)
        bare = st.builds("{}{}{}".format, inner, st.sampled_from("+-*"), inner)
        negative = st.builds("-{}".format, inner)
        power = st.builds("({})^{}".format, inner, st.sampled_from(["2", "3"]))
        called = st.builds("{}({})".format, st.sampled_from(["sin", "abs", "tanh", "step"]), inner)
        either = st.builds("max({},{})".format, inner, inner)
        return st.one_of(binary, bare, negative, power, called, either)

    return st.recursive(leaves, grow, max_leaves=8)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_trees())
def test_any_expression_has_the_value_of_openmm(text):
    expected = by_openmm(text, VALUES)
    assert ours(text, VALUES) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradient_of_an_expression():
    r = torch.tensor([0.3, 0.9], dtype=DOUBLE, requires_grad=True)
    energy = Expression("k*(r-r0)^2; k=2*a; r0=0.5")({"r": r, "a": 3.0}, like=r)
    (slope,) = torch.autograd.grad(energy.sum(), r)
    assert slope.tolist() == pytest.approx([12 * (0.3 - 0.5), 12 * (0.9 - 0.5)])


def test_constants_follow_the_dtype_of_the_values():
    r = torch.ones(2, dtype=torch.float32)
    assert Expression("1/3")({}, like=r).dtype == torch.float32
    assert Expression("r/3+sqrt(2)")({"r": r}, like=r).dtype == torch.float32
    assert Expression("1/0")({}, like=r).item() == torch.inf


def test_variables_and_custom_functions():
    expression = Expression("f(u,r)+f; u=2*b; f=4", {"f": lambda x, y: x * 10 + y})
    assert expression.variables == {"r", "b"}
    one = torch.ones(1, dtype=DOUBLE)
    assert expression({"r": one, "b": one}, like=one).item() == 25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("1+", "cannot read"),
        ("bessel(r)", "no function 'bessel'"),
        ("max(r)", "max takes 2 arguments, got 1"),
        ("r if a else b", "cannot read"),
        ("a.b", "not part of"),
        ("r; r2", "expected 'name = value'"),
        ("r; 2=r", "expected 'name = value'"),
        ("'text'", "expected numbers"),
        ("[r]", "not part of"),
        ("r < a", "not part of"),
        ("+a", "not part of"),
    ],
)
def test_bad_expressions(text, message):
    with pytest.raises(ExpressionError, match=message):
        Expression(text)


def test_bad_values():
    r = torch.ones(1)
    with pytest.raises(ExpressionError, match=r"expected \['a'\] too"):
        Expression("a*r")({"r": r}, like=r)
    with pytest.raises(ExpressionError, match=r"expected \['u'\] too"):
        Expression("u; u=v; v=u+1")({}, like=r)
