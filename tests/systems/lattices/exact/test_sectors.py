"""Sectors against the whole matrix, for random operators with two involutions."""

import numpy as np
import pytest
import torch

from systems.lattices.exact.errors import CancellationError
from systems.lattices.exact.sectors import Spectrum

N = 12


def random_parts(*, symmetric=True):
    """A positive matrix on 3 x 4 points that both reversals of the grid leave unchanged."""
    index = np.arange(N).reshape(3, 4)
    involutions = [index[::-1].ravel(), index[:, ::-1].ravel()]
    generator = torch.Generator().manual_seed(17)
    found = []
    for _ in range(3):
        matrix = torch.rand((N, N), generator=generator, dtype=torch.float64).numpy()
        matrix = matrix + matrix.T
        for p in involutions if symmetric else []:
            matrix = matrix + matrix[np.ix_(p, p)]
        found.append(matrix)
    return found, involutions


def kernel_of(matrix):
    return lambda p, q: matrix[p, q]


@pytest.fixture
def case():
    (matrix, first, second), involutions = random_parts()
    return matrix, first, second, involutions, Spectrum(kernel_of(matrix), N, involutions)


def test_the_sectors_hold_all_eigenvalues(case):
    matrix, *_, spectrum = case
    values = np.concatenate([s.values for s in spectrum.sectors]) * np.exp(spectrum.log_largest)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix), atol=1e-12)
    # The first reversal fixes the middle row, whose 2 orbits are absent where its sign is -1.
    assert [len(s.values) for s in spectrum.sectors] == [4, 4, 2, 2]
    top = np.linalg.eigvalsh(matrix)
    expected = np.log(top[-1] / np.sort(np.abs(top))[-2])
    np.testing.assert_allclose(spectrum.gap(), expected, rtol=1e-12)


@pytest.mark.parametrize("power", [2, 3, 7])
def test_traces_and_insertions_agree_with_the_whole_matrix(case, power):
    matrix, first, _, involutions, spectrum = case
    trace = np.trace(np.linalg.matrix_power(matrix, power))
    np.testing.assert_allclose(spectrum.log_trace(power), np.log(trace), rtol=1e-13)
    even = np.diagonal(first)
    mean = np.trace(np.diag(even) @ np.linalg.matrix_power(matrix, power)) / trace
    np.testing.assert_allclose(spectrum.mean(even[spectrum.points], power), mean, rtol=1e-12)
    inserted = np.trace(first @ np.linalg.matrix_power(matrix, power - 1)) / trace
    np.testing.assert_allclose(spectrum.kernel_mean(kernel_of(first), power), inserted, rtol=1e-12)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_correlators_agree_with_the_whole_matrix(case, signs):
    matrix, *_, involutions, spectrum = case
    function = torch.randn(N, generator=torch.Generator().manual_seed(2)).double().numpy()
    for sign, p in zip(signs, involutions, strict=True):
        function = function + sign * function[p]
    power = 5
    trace = np.trace(np.linalg.matrix_power(matrix, power))
    diagonal = np.diag(function)
    expected = [
        np.trace(
            diagonal
            @ np.linalg.matrix_power(matrix, r)
            @ diagonal
            @ np.linalg.matrix_power(matrix, power - r)
        )
        / trace
        for r in range(power)
    ]
    found = spectrum.correlator(function[spectrum.points], signs, power)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_derivatives_agree_with_finite_differences(case):
    matrix, first, second, _, spectrum = case
    power, h = 4, 1e-3

    def log_trace(g):
        return np.log(np.trace(np.linalg.matrix_power(matrix + g * first + g**2 / 2 * second, 4)))

    low, middle, high = log_trace(-h), log_trace(0.0), log_trace(h)
    found = spectrum.derivatives(kernel_of(first), kernel_of(second), power)
    np.testing.assert_allclose(found.first, (high - low) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(found.second, (high - 2 * middle + low) / h**2, rtol=1e-4)


def test_the_ground_state_is_the_limit_of_long_strips(case):
    matrix, first, *_, spectrum = case
    values, vectors = np.linalg.eigh(matrix)
    expected = vectors[:, -1] @ first @ vectors[:, -1] / values[-1]
    np.testing.assert_allclose(spectrum.ground_kernel_mean(kernel_of(first)), expected, rtol=1e-12)
    np.testing.assert_allclose(spectrum.kernel_mean(kernel_of(first), 400), expected, rtol=1e-12)


def test_no_involution_and_a_trivial_one_are_allowed(case):
    matrix, *_ = case
    for involutions in ([], [np.arange(N)]):
        spectrum = Spectrum(kernel_of(matrix), N, involutions)
        expected = np.log(np.trace(matrix @ matrix @ matrix))
        np.testing.assert_allclose(spectrum.log_trace(3), expected, rtol=1e-13)


def test_a_trace_that_cancels_is_an_error():
    matrix = np.array([[1e-9, 1.0], [1.0, 1e-9]])
    spectrum = Spectrum(kernel_of(matrix), 2, [])
    np.testing.assert_allclose(spectrum.log_trace(2), np.log(2), rtol=1e-12)
    with pytest.raises(CancellationError, match="opposite signs"):
        spectrum.log_trace(3)
