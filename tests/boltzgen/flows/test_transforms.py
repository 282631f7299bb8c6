import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boltzgen.flows import AffineTransform, VolumePreservingTransform
from boltzgen.flows.transforms import wrap
from tests.boltzgen.flows.points import DTYPES, around

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e3, 1e3)
AFFINE = [AffineTransform(), AffineTransform(0.5), VolumePreservingTransform()]


def pi_of(dtype):
    return torch.tensor(math.pi, dtype=dtype)


def assert_on_the_circle(theta):
    pi = pi_of(theta.dtype)
    turned = wrap(theta)
    assert bool((turned >= -pi).all() & (turned < pi).all())
    again = around(wrap(turned) - turned, circular=True)
    assert again.max() <= 8 * torch.finfo(theta.dtype).eps


@given(FINITE, st.sampled_from(DTYPES))
def test_wrap_of_any_number_is_on_the_circle(theta, dtype):
    assert_on_the_circle(torch.tensor([theta], dtype=dtype).clamp(-3e38, 3e38))


@pytest.mark.parametrize("dtype", DTYPES)
def test_wrap_near_whole_turns(dtype):
    """Every float within 50 of an odd multiple of pi, where rounding decides the side."""
    for turns in (-7, -3, -1, 1, 3, 101):
        point = turns * pi_of(dtype)
        near = [point]
        for end in (math.inf, -math.inf):
            value = point
            for _ in range(50):
                value = torch.nextafter(value, torch.tensor(end, dtype=dtype))
                near.append(value)
        theta = torch.stack(near)
        assert_on_the_circle(theta)
        exact = torch.remainder(theta.double() + math.pi, 2 * math.pi) - math.pi
        away = (wrap(theta).double() - exact).abs()
        ulp = torch.finfo(dtype).eps * 4 * abs(turns)
        assert torch.minimum(away, (away - 2 * math.pi).abs()).max() < 3 * ulp


def test_wrap_moves_by_whole_turns_and_keeps_the_gradient():
    theta = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    theta = torch.cat([theta, pi_of(torch.float64)[None] * torch.tensor([-1.0, 1.0, 3.0])])
    theta.requires_grad_()
    turned = wrap(theta)
    turns = (theta - turned) / (2 * math.pi)
    assert (turns - turns.round()).abs().max() < 1e-14
    (gradient,) = torch.autograd.grad(turned.sum(), theta)
    assert torch.equal(gradient, torch.ones_like(theta))


@pytest.mark.parametrize("transform", AFFINE, ids=["affine", "tight", "volume"])
@given(
    values=st.lists(MODERATE, min_size=3, max_size=3),
    parameters=st.lists(MODERATE, min_size=6, max_size=6),
    dtype=st.sampled_from(DTYPES),
)
def test_affine_maps(transform, values, parameters, dtype):
    """Scales are within e^-4 and e^4, so that at most 55 (1 + |x| + |b|) roundings remain."""
    x = torch.tensor([values], dtype=dtype, requires_grad=True)
    raw = torch.tensor(parameters, dtype=dtype).reshape(1, 3, 2).requires_grad_()
    y, logdet = transform.forward(x, raw)
    back, opposite = transform.inverse(y, raw)
    size = 1 + x.abs() + raw[..., 1].abs()
    assert ((back - x).abs() <= 4 * 55 * torch.finfo(dtype).eps * size).all()
    assert torch.equal(logdet, -opposite)
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    assert (slope.log().sum(1) - logdet).abs().max() < 100 * torch.finfo(dtype).eps
    for result in (y, back, logdet + 0 * y.sum()):
        gradients = torch.autograd.grad(
            result.sum(), (x, raw), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_affine_scale_is_bounded_and_the_identity_at_zero():
    raw = torch.tensor([[[1e9, 0.0], [-1e9, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    y, logdet = AffineTransform(2.0).forward(torch.ones(1, 3, dtype=torch.float64), raw)
    expected = torch.tensor([[math.exp(2), math.exp(-2), 1.0]], dtype=torch.float64)
    torch.testing.assert_close(y, expected, rtol=1e-14, atol=0)
    assert logdet.item() == 0
    with pytest.raises(ValueError, match="max_log_scale: expected"):
        AffineTransform(0.0)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_volume_is_preserved_exactly(size, generator):
    """The reported log-determinant is zero to the bit; autograd's to rounding."""
    transform = VolumePreservingTransform()
    raw = 3 * torch.randn(4, size, 2, generator=generator, dtype=torch.float64)
    x = torch.randn(4, size, generator=generator, dtype=torch.float64)
    for call in (transform.forward, transform.inverse):
        assert torch.equal(call(x, raw)[1], torch.zeros(4, dtype=torch.float64))
        for row in range(4):
            matrix = torch.autograd.functional.jacobian(
                lambda v, row=row, call=call: call(v[None], raw[row : row + 1])[0][0], x[row]
            )
            assert abs(torch.linalg.slogdet(matrix)[1].item()) < 1e-14
    moved = transform.forward(x, raw)[0] - raw[..., 1] - x
    assert bool(moved.abs().max() > 0.1) == (size > 1)
