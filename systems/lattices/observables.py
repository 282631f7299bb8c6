"""Observables of a lattice field or of spins, one number for each configuration.

Every function takes configurations of shape (B, L_1, ..., L_d) and returns (B,) or as said.
"""

import torch
from torch import Tensor

from systems.lattices.geometry import MAX_DIMENSIONS, forward_sum


def magnetisation(x: Tensor) -> Tensor:
    """Mean of the field over the sites, m = M / V, shape (B,)."""
    return _checked(x).flatten(1).mean(1)


def square_sum(x: Tensor) -> Tensor:
    """Sum of phi^2 over the sites, shape (B,)."""
    return _checked(x).square().flatten(1).sum(1)


def quartic_sum(x: Tensor) -> Tensor:
    """Sum of phi^4 over the sites, shape (B,)."""
    return _checked(x).square().square().flatten(1).sum(1)


def bond_sum(x: Tensor) -> Tensor:
    """B = sum over sites and directions of phi_x phi_{x + mu}, shape (B,).

    Where a length is 2 the two bonds between a pair of sites both count.
    """
    return (x * forward_sum(x, _checked(x).dim() - 1)).flatten(1).sum(1)


def moments(x: Tensor) -> Tensor:
    """Moments |m|, m^2, m^4 of the magnetisation, shape (B, 3)."""
    m = magnetisation(x)
    return torch.stack([m.abs(), m**2, m**4], 1)


def structure_factor(x: Tensor) -> Tensor:
    """G(k) = |sum_x phi_x exp(-i k x)|^2 / V at every momentum, shape (B, L_1, ..., L_d).

    Its value at k = 0 is V m^2; the second-moment correlation length compares it with the value at
    the smallest momentum. The order of momenta is that of `torch.fft.fftn`.
    """
    axes = tuple(range(1, _checked(x).dim()))
    return torch.fft.fftn(x, dim=axes).abs().square() / x[0].numel()


def correlator(x: Tensor) -> Tensor:
    """C(r) = mean over x of phi_x phi_{x + r}, for every displacement r, shape of x."""
    axes = tuple(range(1, _checked(x).dim()))
    return torch.fft.ifftn(structure_factor(x), dim=axes).real


def time_slice_correlator(x: Tensor) -> Tensor:
    """Correlator of slice means along the first axis, at each distance, shape (B, L_1).

    G(t) = mean over t_0 of s(t_0) s(t_0 + t), s(t) the mean of the field over the slice; it decays
    with the mass gap.
    """
    slices = _checked(x).flatten(2).mean(2) if x.dim() > 2 else x
    spectrum = torch.fft.fft(slices, dim=1).abs().square() / slices.shape[1]
    return torch.fft.ifft(spectrum, dim=1).real


def _checked(x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or not 2 <= x.dim() <= 1 + MAX_DIMENSIONS:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: expected configurations (B, L_1, ..., L_d), d <= 3, got {got}")
    return x
