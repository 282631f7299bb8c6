import math

import pytest
import torch
from torch import nn

from boltzgen.errors import NonFiniteError
from boltzgen.objectives import GradientBalance, Ramp, Term, Weighted
from boltzgen.objectives.weighted import gradient_norm
from boltzgen.protocols import LossTerms
from tests.boltzgen.objectives.families import PowerNormal, batch


class Pull(nn.Module):
    """factor m^2 / 2 + offset: a gradient of factor m in m alone."""

    def __init__(self, factor, error=None):
        super().__init__()
        self.factor, self.error, self.steps = factor, error, []

    def forward(self, density, batch, *, step, generator):
        self.steps.append(step)
        if self.error is not None:
            raise self.error
        return LossTerms(self.factor * density.m.square() / 2, {"pull": torch.tensor(1.0)})


def call(objective, step=0, m=2.0):
    return objective(PowerNormal(m=m), batch(), step=step, generator=torch.Generator())


def test_ramp():
    ramp = Ramp(start=3, length=4)
    assert [ramp(step) for step in range(9)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert [Ramp(2)(step) for step in range(4)] == [0, 0, 1, 1]
    assert Ramp()(0) == 1
    for bad in ({"start": -1}, {"length": -1}, {"start": 0.5}):
        with pytest.raises(ValueError, match="expected an integer of at least 0"):
            Ramp(**bad)


def test_fixed_weights_and_ramps():
    late = Pull(5.0)
    terms = [Term("first", Pull(1.0)), Term("late", late, 0.1, Ramp(start=10, length=2))]
    objective = Weighted(terms)
    found = [call(objective, step) for step in (0, 10, 11)]
    assert [f.loss.item() for f in found] == pytest.approx([2, 2 + 0.05 * 10, 2 + 0.1 * 10])
    assert late.steps == [10, 11]
    assert set(found[0].metrics) == {"pull", "loss/first", "weight/first"}
    assert found[1].metrics["weight/late"].item() == pytest.approx(0.05)
    assert found[1].metrics["loss/late"].item() == pytest.approx(10)


@pytest.mark.parametrize("factors", [(1.0, 30.0, 0.05), (2.0, 2.0, 2.0)])
def test_balanced_terms_pull_as_hard_as_the_first(factors):
    terms = [Term(str(k), Pull(factor)) for k, factor in enumerate(factors)]
    balance = GradientBalance(3)
    density = PowerNormal(m=2.0)
    call(Weighted(terms, balance))
    # The guard against division by zero, 1e-4 of the first norm, makes the others a little shorter.
    for factor, balanced in zip(factors, balance.factors.tolist(), strict=True):
        (pull,) = torch.autograd.grad(
            balanced * terms[0].objective.factor * factor * density.m.square() / 2, density.m
        )
        assert pull.item() == pytest.approx(2 * factors[0] ** 2, rel=1.1e-4 * factors[0] / factor)


def test_balance_in_the_middle_of_its_memory():
    """New values enter at once the first time, then with 1 - memory at multiples of `every`."""
    second = Pull(4.0)
    balance = GradientBalance(2, every=10, memory=0.75)
    objective = Weighted([Term("a", Pull(1.0)), Term("b", second, ramp=Ramp(start=3))], balance)
    seen = []
    for step in range(31):
        second.factor = 4.0 if step < 20 else 1.0
        call(objective, step)
        seen.append(balance.factors[1].item())
    quarter, one = 1 / (4 + 1e-4), 1 / (1 + 1e-4)
    assert seen[:3] == [1.0] * 3
    assert seen[3:20] == pytest.approx([quarter] * 17, rel=1e-12)
    after = 0.75 * quarter + 0.25 * one
    assert seen[20:30] == pytest.approx([after] * 10, rel=1e-12)
    assert seen[30] == pytest.approx(0.75 * after + 0.25 * one, rel=1e-12)
    assert balance.factors[0] == 1


def test_balance_is_bounded():
    terms = [Term("a", Pull(1.0)), Term("weak", Pull(1e-9)), Term("strong", Pull(1e9))]
    balance = GradientBalance(3, limit=50.0)
    call(Weighted(terms, balance))
    assert balance.factors.tolist() == pytest.approx([1, 50, 1 / 50])


def test_a_first_term_without_gradient_changes_nothing():
    balance = GradientBalance(2)
    result = call(Weighted([Term("a", Pull(0.0)), Term("b", Pull(0.0))], balance))
    assert result.loss.item() == 0
    assert balance.factors.tolist() == [1, 1]
    assert not balance.measured.any()


def test_the_state_survives():
    terms = [Term("a", Pull(1.0)), Term("b", Pull(7.0))]
    objective = Weighted(terms, GradientBalance(2))
    call(objective)
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    assert set(state) == {"balance.factors", "balance.measured"}
    other = Weighted(terms, GradientBalance(2))
    assert other.balance.factors[1] == 1
    other.load_state_dict(state)
    assert torch.equal(other.balance.factors, objective.balance.factors)
    assert other.balance.measured.all()


def test_gradient_norm_counts_every_parameter():
    density = PowerNormal(m=3.0, b=0.5)
    loss = 2 * density.m.square() + density.b
    norm = gradient_norm(loss, list(density.parameters()))
    assert norm.item() == pytest.approx(math.hypot(12, 1))
    loss.backward()
    assert density.m.grad.item() == pytest.approx(12)


def test_a_failing_term_is_named():
    terms = [Term("fine", Pull(1.0)), Term("rotten", Pull(1.0, NonFiniteError("table is NaN")))]
    with pytest.raises(NonFiniteError, match="rotten at step 7: table is NaN"):
        call(Weighted(terms), 7)


def test_bad_arguments():
    a = Term("a", Pull(1.0))
    with pytest.raises(ValueError, match=r"distinct names, got \['a', 'a'\]"):
        Weighted([a, Term("a", Pull(2.0))])
    with pytest.raises(ValueError, match="at least one"):
        Weighted([])
    with pytest.raises(ValueError, match="balance: expected 1 factors, got 2"):
        Weighted([a], GradientBalance(2))
    with pytest.raises(ValueError, match="no term is active at step 4"):
        call(Weighted([Term("a", Pull(1.0), ramp=Ramp(start=5))]), 4)
    for weight in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="weight: expected a number above 0 for a"):
            Term("a", Pull(1.0), weight)
    for name in ("", "a.b"):
        with pytest.raises(ValueError, match="name: expected a word without a dot"):
            Term(name, Pull(1.0))
    for options in ({"memory": 1.0}, {"limit": 0.5}):
        with pytest.raises(ValueError, match="memory, limit"):
            GradientBalance(2, **options)
    with pytest.raises(ValueError, match="every"):
        GradientBalance(2, every=0)
