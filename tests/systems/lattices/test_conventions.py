import math

import pytest
import torch

from systems.lattices import CanonicalPhi4, HoppingPhi4, KineticPhi4, convert, scalar_action
from systems.lattices.exact import scalar_moments

DOUBLE = torch.float64
MODELS = {
    HoppingPhi4: {"kappa": 0.3, "lambda": 0.05},
    KineticPhi4: {"m2": -1.2, "g": 0.9},
    CanonicalPhi4: {"m2": -0.7, "lambda": 4.0, "kappa": 1.3},
}
PAIRS = [(a, b) for a in MODELS for b in MODELS]


def energy(convention, couplings, x):
    target = convention(tuple(x.shape[1:]))
    c = torch.tensor([[couplings[name] for name in target.control_names]], dtype=DOUBLE)
    return target.energy(x, c.expand(len(x), -1))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 2, 3)])
def test_the_action_of_the_scaled_field_is_the_same(source, target, shape):
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    found = convert(MODELS[source], source, target, n_dims=len(shape))
    torch.testing.assert_close(
        energy(target, found.couplings, found.field_scale * x), energy(source, MODELS[source], x)
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_log_z_follows_the_scale_of_the_field(source, target):
    found = convert(MODELS[source], source, target, n_dims=1)
    old, new = (
        scalar_moments(scalar_action(kind, couplings, n_dims=1), (4,)).moments.log_partition
        for kind, couplings in ((source, MODELS[source]), (target, found.couplings))
    )
    assert found.log_partition(old, 4) == pytest.approx(new, abs=1e-8)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_there_and_back_is_where_it_began(source, target):
    there = convert(MODELS[source], source, target, n_dims=2)
    back = convert(there.couplings, target, source, n_dims=2)
    again = convert(back.couplings, source, target, n_dims=2)
    assert again.couplings == pytest.approx(there.couplings)
    if source is not CanonicalPhi4:  # which comes back with kappa 1
        assert back.couplings == pytest.approx(MODELS[source])
        assert back.field_scale * there.field_scale == pytest.approx(1)


def test_published_pairs_of_couplings():
    """d = 2: m^2 = (1 - 2 lambda) / kappa - 4, g = lambda / kappa^2; m^2 = -4 is lambda = 1/2."""
    found = convert({"kappa": 0.29, "lambda": 0.02}, HoppingPhi4, KineticPhi4, n_dims=2)
    assert found.couplings["m2"] == pytest.approx(0.96 / 0.29 - 4)
    assert found.couplings["g"] == pytest.approx(0.02 / 0.29**2)
    assert found.field_scale == pytest.approx(math.sqrt(0.29))
    other = convert({"kappa": 0.29, "lambda": 0.02}, HoppingPhi4, CanonicalPhi4, n_dims=2)
    assert other.couplings["lambda"] == pytest.approx(6 * 0.02 / 0.29**2)
    back = convert({"m2": -4.0, "g": 4.572}, KineticPhi4, HoppingPhi4, n_dims=2)
    assert back.couplings["lambda"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("couplings", "source", "complaint"),
    [
        ({"kappa": 0.3}, HoppingPhi4, "couplings: expected kappa, lambda"),
        ({"kappa": 0.0, "lambda": 0.1}, HoppingPhi4, "expected a hopping coefficient above 0"),
        ({"kappa": 0.3, "lambda": -0.1}, HoppingPhi4, "quartic: expected at least 0"),
        ({"m2": -5.0, "g": 0.0}, KineticPhi4, "no field scale"),
    ],
)
def test_models_that_cannot_be_converted_are_named(couplings, source, complaint):
    with pytest.raises(ValueError, match=complaint):
        convert(couplings, source, HoppingPhi4, n_dims=2)
