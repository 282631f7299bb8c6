import math

import pytest
import torch

from boltzgen.base import Bijection, Density
from boltzgen.checks import check_controls


class Scale(Bijection):
    """z = x * c, for one control."""

    def _forward(self, x, c):
        return x * c, self.event_shape[0] * c[:, 0].log()

    def _inverse(self, z, c):
        return z / c, -self.event_shape[0] * c[:, 0].log()


class Exponential(Density):
    """p(x | c) = c exp(-c x) on the half-line."""

    def _log_prob(self, x, c):
        return (c.log() - c * x).sum(-1)

    def _sample_and_log_prob(self, c, generator):
        u = torch.rand(c.shape, generator=generator, dtype=c.dtype, device=c.device)
        x = -u.log() / c
        return x, self._log_prob(x, c)


def test_a_bijection_maps_both_ways():
    scale = Scale((2,), 1)
    x, c = torch.ones(3, 2), torch.full((3, 1), 2.0)
    z, logdet = scale(x, c)
    back, logdet_back = scale.inverse(z, c)
    assert torch.equal(z, torch.full((3, 2), 2.0))
    assert torch.equal(back, x)
    torch.testing.assert_close(logdet, torch.full((3,), 2 * math.log(2)))
    assert torch.equal(logdet, -logdet_back)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_a_bijection_checks_shapes_for_its_layers(direction):
    call = getattr(Scale((2,), 1), direction)
    name = {"forward": "x", "inverse": "z"}[direction]
    with pytest.raises(ValueError, match=rf"^{name}: expected shape \(B, 2\), got \(3, 4\)"):
        call(torch.ones(3, 4), torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"^c: expected shape \(3, 1\), got \(3, 2\)"):
        call(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"^c: expected a floating-point tensor, got float"):
        call(torch.ones(3, 2), 1.0)


def test_a_density_widens_controls():
    density = Exponential((1,), 1)
    x = torch.ones(3, 1)
    for c in (2.0, torch.full((3,), 2.0), torch.full((3, 1), 2.0)):
        torch.testing.assert_close(density.log_prob(x, c), torch.full((3,), math.log(2) - 2))


def test_a_density_samples_from_the_generator_alone():
    density, c = Exponential((1,), 1), torch.full((5, 1), 2.0)
    x, log_prob = density.sample_and_log_prob(c, generator=torch.Generator().manual_seed(1))
    again = density.sample(c, generator=torch.Generator().manual_seed(1))
    assert torch.equal(x, again)
    assert torch.equal(log_prob, density.log_prob(x, c))


def test_a_density_checks_shapes():
    density, generator = Exponential((1,), 1), torch.Generator()
    with pytest.raises(ValueError, match=r"^x: expected shape \(B, 1\), got \(3,\)"):
        density.log_prob(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match=r"^c: expected shape \(3, 1\), got \(2, 1\)"):
        density.log_prob(torch.ones(3, 1), torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"^c: expected shape \(3, 1\), got \(3, 2\)"):
        density.sample(torch.ones(3, 2), generator=generator)


def test_abstract_classes_cannot_be_made():
    for cls in (Bijection, Density):
        with pytest.raises(TypeError, match="abstract"):
            cls((1,), 1)


def test_no_controls_are_controls_of_width_zero():
    check_controls("c", torch.zeros(3, 0), 3, 0)
