import math

import pytest
import torch

from boltzgen.kernels import HMC, FourierScale

DOUBLE = torch.float64


class FreeField:
    """E = sum_k K(k) |x_k|^2 on a ring, x_k the unitary Fourier modes."""

    control_names = ("unused",)

    def __init__(self, n: int, mass: float):
        self.event_shape = (n,)
        angle = 2 * math.pi * torch.fft.fftfreq(n, dtype=DOUBLE)
        self.stiffness = mass + 1 - angle.cos()

    def energy(self, x, c):
        modes = torch.fft.fft(x, dim=1, norm="ortho")
        return (self.stiffness * modes.abs().square()).sum(1)


def leapfrog_correlation(scale, target, generator):
    """Correlation of the zero mode before and after one trajectory, averaged over lengths."""
    kernel = HMC(target, step_size=0.3, n_leapfrog=5, scale=scale)
    products, squares, c = [], [], torch.ones(500, 1, dtype=DOUBLE)
    for _ in range(60):
        x = torch.randn(500, *target.event_shape, generator=generator, dtype=DOUBLE)
        modes = torch.fft.fft(x, dim=1, norm="ortho") / (2 * target.stiffness).sqrt()
        x = torch.fft.ifft(modes, dim=1, norm="ortho").real
        state, info = kernel.step(kernel.init(x, c), c, generator=generator)
        assert info.acceptance.mean() > 0.9
        products.append((x.mean(1) * state.x.mean(1)).mean())
        squares.append(x.mean(1).square().mean())
    return float(torch.stack(products).mean() / torch.stack(squares).mean())


def test_all_modes_move_alike():
    """A soft zero mode barely moves in plain HMC; scaled by its stiffness it does in one go."""
    target = FreeField(16, 0.01)
    generator = torch.Generator().manual_seed(3)
    plain = leapfrog_correlation(1.0, target, generator)
    scale = FourierScale((2 * target.stiffness).rsqrt())
    scaled = leapfrog_correlation(scale, target, generator)
    # A harmonic mode of frequency w turns by w t, t being 0.9 to 2.1; scaled, w is 1 for all, and
    # the lengths drawn spread the correlation by 0.36 / sqrt(60).
    expected = sum(math.cos(0.3 * n) for n in range(3, 8)) / 5
    assert plain > 0.97
    assert scaled == pytest.approx(expected, abs=4 * 0.06)


def test_it_is_the_matrix_it_says():
    size = torch.tensor([[1.0, 2.0, 2.0], [0.5, 0.7, 0.3], [0.5, 0.3, 0.7]], dtype=DOUBLE)
    scale = FourierScale(size)
    unit = torch.eye(9, dtype=DOUBLE).reshape(9, 3, 3)
    matrix = scale(unit).reshape(9, 9)
    assert torch.allclose(matrix, matrix.T, atol=1e-14)
    found = torch.linalg.eigvalsh(matrix).sort().values
    assert torch.allclose(found, size.flatten().sort().values, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "complaint"),
    [([1.0, 0.0, 1.0], "above 0"), ([1.0, math.nan, 1.0], "above 0"), ([1.0, 2.0, 3.0], "s_-k")],
)
def test_sizes_that_make_no_scale(size, complaint):
    with pytest.raises(ValueError, match=complaint):
        FourierScale(torch.tensor(size, dtype=DOUBLE))


def test_another_lattice_is_refused():
    kernel = HMC(FreeField(4, 1.0), step_size=0.1, n_leapfrog=2, scale=FourierScale(torch.ones(5)))
    with pytest.raises(ValueError, match="scale: expected event shape"):
        kernel.init(torch.zeros(2, 4, dtype=DOUBLE), torch.ones(2, 1, dtype=DOUBLE))
