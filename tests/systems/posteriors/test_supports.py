import math

import pytest
import torch
from torch.autograd.functional import jacobian

from systems.posteriors import Interval, Positive, Real, Simplex

SUPPORTS = {
    "real": (Real(), (3,)),
    "positive": (Positive(), (2, 2)),
    "positive, number": (Positive(0.5), ()),
    "interval": (Interval(-2.0, 5.0), (3,)),
    "interval, number": (Interval(0.0, 1.0), ()),
    "simplex": (Simplex(), (4,)),
    "simplexes": (Simplex(), (2, 3)),
}


def free(support, shape, n, generator, scale=2.0):
    shape = (n, *support.free_shape(shape))
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("support", "shape"), SUPPORTS.values(), ids=SUPPORTS)
def test_free_numbers_come_back(support, shape, generator):
    u = free(support, shape, 50, generator)
    value, logdet = support.constrain(u)
    assert value.shape == (50, *shape)
    assert logdet.shape == (50,)
    torch.testing.assert_close(support.unconstrain(value), u, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("support", "shape"), SUPPORTS.values(), ids=SUPPORTS)
def test_the_log_determinant_is_that_of_autograd(support, shape, generator):
    u = free(support, shape, 5, generator)

    def coordinates(row):
        value = support.constrain(row[None])[0][0]
        # The last part of a simplex follows from the others.
        return (value[..., :-1] if isinstance(support, Simplex) else value).flatten()

    for row, logdet in zip(u, support.constrain(u)[1], strict=True):
        matrix = jacobian(coordinates, row).reshape(row.numel(), row.numel())
        torch.testing.assert_close(torch.linalg.slogdet(matrix)[1], logdet, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("support", "shape"), SUPPORTS.values(), ids=SUPPORTS)
def test_single_precision_and_an_empty_batch(support, shape, generator):
    u = free(support, shape, 20, generator)
    value, logdet = support.constrain(u.float())
    assert value.dtype == logdet.dtype == torch.float32
    torch.testing.assert_close(value.double(), support.constrain(u)[0], rtol=1e-5, atol=1e-6)
    value, logdet = support.constrain(u[:0])
    assert value.shape == (0, *shape)
    assert logdet.shape == (0,)
    assert support.unconstrain(value).shape == u[:0].shape


@pytest.mark.parametrize(("support", "shape"), SUPPORTS.values(), ids=SUPPORTS)
def test_far_out_nothing_is_nan(support, shape):
    for far in (-1e12, -800.0, 800.0, 1e12):
        shape_of_u = (1, *support.free_shape(shape))
        u = torch.full(shape_of_u, far, requires_grad=True)
        value, logdet = support.constrain(u)
        assert not value.isnan().any()
        assert logdet.isfinite().all()
        (slope,) = torch.autograd.grad(torch.where(value.isfinite(), value, 0.0).sum(), u)
        assert slope.isfinite().all()


def test_parts_of_a_simplex_sum_to_one_and_zero_is_its_centre(generator):
    support = Simplex()
    value = support.constrain(free(support, (6,), 100, generator))[0]
    torch.testing.assert_close(value.sum(1), torch.ones(100, dtype=torch.float64))
    assert bool((value > 0).all())
    centre = support.constrain(torch.zeros(1, 5, dtype=torch.float64))[0]
    torch.testing.assert_close(centre, torch.full((1, 6), 1 / 6, dtype=torch.float64))


def test_a_uniform_density_on_the_simplex_integrates_to_its_volume():
    u = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    logdet = Simplex().constrain(torch.cartesian_prod(u, u))[1]
    assert logdet.exp().sum().item() * 0.05**2 == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("support", "value", "message"),
    [
        (Real(), [math.inf], "finite numbers, got inf"),
        (Positive(), [1.0, 0.0], "numbers above 0, got 0"),
        (Positive(2.0), [2.0], "numbers above 2, got 2"),
        (Positive(), [math.nan], "numbers above 0, got nan"),
        (Interval(0.0, 3.0), [1.0, 3.0], "numbers between 0 and 3, got 3"),
        (Interval(0.0, 3.0), [0.0], "numbers between 0 and 3, got 0"),
        (Interval(0.0, 3.0), [math.nan], "numbers between 0 and 3, got nan"),
        (Simplex(), [0.0, 1.0], "numbers above 0, got 0"),
        (Simplex(), [0.5, 0.6], "parts that sum to 1, got 1.1"),
    ],
)
def test_values_outside_or_on_the_edge_are_refused(support, value, message):
    with pytest.raises(ValueError, match=f"^value: expected {message}$"):
        support.unconstrain(torch.tensor([value], dtype=torch.float64))


def test_bad_bounds_and_shapes_are_named():
    with pytest.raises(ValueError, match="^low: expected a finite number, got inf"):
        Positive(math.inf)
    for low, high in ((1.0, 1.0), (2.0, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="^low, high: expected finite low < high"):
            Interval(low, high)
    for shape in ((), (1,), (3, 1)):
        with pytest.raises(ValueError, match="^shape: expected a last axis of at least 2 parts"):
            Simplex().free_shape(shape)
