"""The scalar field on rings and on strips two sites wide, by its transfer operator."""

from functools import cached_property

import numpy as np

from systems.lattices.exact.arguments import check_whole
from systems.lattices.exact.scalar_action import ScalarAction, check_bounded, field_extent
from systems.lattices.exact.sectors import Spectrum

NODES = {1: 160, 2: 56}


class ScalarTransfer:
    """Z = tr(A^N) for S = a sum x^2 + b sum x^4 - t B(x) on a periodic strip of length N.

    A slice holds `width` sites x, and A(x, y) = exp(-(v(x) + v(y)) / 2 + t sum_w x_w y_w) with
    v(x) = sum_w (a x_w^2 + b x_w^4), less 2 t x_1 x_2 at width 2, where the bond across counts
    twice. A is discretised on equally spaced nodes. Its entries vanish with all their derivatives
    at both ends, so the error falls exponentially in the number of nodes: compare two numbers of
    nodes, or read `discretisation_error`. The symmetries x -> -x and x_1 <-> x_2 split the matrix.

    Args:
        action: The action.
        width: 1 for the ring (N,), 2 for the strip (2, N).
        nodes: Nodes per site; 160 on rings and 56 on strips unless given. A strip diagonalises
            four matrices of about nodes^2 / 4 rows.

    Raises:
        ValueError: Another width, fewer than 8 nodes, or an action that is unbounded below.

    References:
        Creutz and Freedman, Ann. Phys. 132, 427 (1981), for the operator of one site.
    """

    def __init__(self, action: ScalarAction, *, width: int = 1, nodes: int | None = None) -> None:
        check_whole("width", width, 1, 2)
        self.action, self.width = action, width
        self.nodes = NODES[width] if nodes is None else nodes
        check_whole("nodes", self.nodes, 8)
        # Momenta 0 and pi are the extremes of a strip of any length.
        shortest = (2,) * width
        check_bounded(action, shortest)
        extent = field_extent(action, shortest)
        axis = np.linspace(-extent, extent, self.nodes)
        self.spacing = float(axis[1] - axis[0])
        grids = np.meshgrid(*[axis] * width, indexing="ij")
        self._x = np.stack([grid.ravel() for grid in grids], axis=1)
        self._weight = self._log_weight(self._x)
        bound = self._weight + abs(action.hopping) * (self._x**2).sum(axis=1)
        self._shift = float(bound.max())

    def log_partition(self, length: int) -> float:
        """Log Z of the strip of this length."""
        check_whole("length", length, 2)
        return self.spectrum.log_trace(length) + length * self._log_scale

    def mean_square(self, length: int) -> float:
        """Mean of x^2 at a site."""
        check_whole("length", length, 2)
        return self.spectrum.mean((self._at_points**2).mean(axis=1), length)

    def mean_fourth(self, length: int) -> float:
        """Mean of x^4 at a site."""
        check_whole("length", length, 2)
        return self.spectrum.mean((self._at_points**4).mean(axis=1), length)

    def bond_sum(self, length: int) -> float:
        """Mean of B: the derivative of log Z in t."""
        check_whole("length", length, 2)
        along = self.spectrum.kernel_mean(self._bond_kernel, length)
        return length * (along + self.spectrum.mean(self._across, length))

    def slice_correlator(self, length: int) -> np.ndarray:
        """Mean of s_0 s_r, s the sum of x over a slice, for r = 0 .. N - 1: shape (N,)."""
        check_whole("length", length, 2)
        signs = (-1, 1)[: self.width]
        return self.spectrum.correlator(self._at_points.sum(axis=1), signs, length)

    def magnetisation_square(self, length: int) -> float:
        """Mean of M^2, M = sum_i x_i."""
        return length * float(self.slice_correlator(length).sum())

    def log_partition_per_length(self) -> float:
        """Limit of log Z / N at infinite length, the log of the largest eigenvalue."""
        return self.spectrum.log_largest + self._log_scale

    def mass_gap(self) -> float:
        """Inverse correlation length along an infinite strip, log(lambda_0 / |lambda_1|)."""
        return self.spectrum.gap()

    def discretisation_error(self, length: int) -> float:
        """|log Z - log Z'|, where Z' uses three quarters of the nodes on the same interval.

        As the error falls exponentially in the number of nodes, that of log Z is far smaller.
        """
        coarse = ScalarTransfer(self.action, width=self.width, nodes=max(8, 3 * self.nodes // 4))
        return abs(self.log_partition(length) - coarse.log_partition(length))

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues and eigenvectors of the discretised operator."""
        index = np.arange(len(self._x))
        involutions = [index[::-1]]
        if self.width == 2:
            involutions.append(index.reshape(self.nodes, self.nodes).T.ravel())
        return Spectrum(self._kernel, len(index), involutions)

    @property
    def _at_points(self) -> np.ndarray:
        """Fields of one slice of every orbit, (n_orbits, width)."""
        return self._x[self.spectrum.points]

    @property
    def _across(self) -> np.ndarray:
        """Bond sum within a slice, for one slice of every orbit."""
        x = self._at_points
        return 2 * x[:, 0] * x[:, 1] if self.width == 2 else np.zeros(len(x))

    @property
    def _log_scale(self) -> float:
        """What the kernel lacks for one slice: its shift, and the spacing of every site."""
        return self._shift + self.width * float(np.log(self.spacing))

    def _log_weight(self, x: np.ndarray) -> np.ndarray:
        a, b, t = self.action.quadratic, self.action.quartic, self.action.hopping
        on_site = (a * x**2 + b * x**4).sum(axis=1)
        return 2 * t * x[:, 0] * x[:, 1] - on_site if self.width == 2 else -on_site

    def _kernel(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        bond = self._bond(p, q)
        exponent = 0.5 * (self._weight[p] + self._weight[q]) + self.action.hopping * bond
        return np.exp(exponent - self._shift)

    def _bond_kernel(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return self._kernel(p, q) * self._bond(p, q)

    def _bond(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return sum(self._x[p, w] * self._x[q, w] for w in range(self.width))
