"""The Ising model on the infinite square lattice without field: Onsager's solution, per site.

E = -J sum over bonds of s s', weight exp(-E / T), Boltzmann's constant 1, J > 0.
"""

import math

import numpy as np
from scipy.integrate import quad
from scipy.special import ellipkm1, elliprd

from systems.checks import check_positive


def critical_temperature(J: float = 1.0) -> float:
    """T_c = 2 J / log(1 + sqrt 2).

    References:
        Kramers and Wannier, Phys. Rev. 60, 252 (1941).
    """
    check_positive("J", J)
    return 2 * J / math.log1p(math.sqrt(2))


def onsager_log_partition(T: float, J: float = 1.0) -> float:
    """Log Z per site, log(2 cosh 2K) + (1/pi) int_0^(pi/2) log((1 + sqrt(1 - k^2 sin^2 p)) / 2) dp.

    K = J / T, k = 2 sinh(2K) / cosh(2K)^2. The absolute error is about 1e-13.

    Args:
        T: Temperature.
        J: Coupling.

    References:
        Onsager, Phys. Rev. 65, 117 (1944), equation 109.
    """
    K = _coupling(T, J)
    _, complement = _moduli(K)

    def integrand(angle: float) -> float:
        # 1 - k^2 sin^2 in a form that keeps its digits where k is close to 1.
        root = math.hypot(math.sin(angle), complement * math.cos(angle))
        return math.log1p(root) - math.log(2)

    # The root bends at an angle of the order of the complementary modulus; angle = pi/2 - p.
    bend = min(max(4 * abs(complement), 1e-12), math.pi / 4)
    parts = [(0.0, bend), (bend, min(30 * bend, 1.0)), (min(30 * bend, 1.0), math.pi / 2)]
    pieces = [quad(integrand, *part, epsabs=1e-14, epsrel=1e-13, limit=400)[0] for part in parts]
    return 2 * K + math.log1p(math.exp(-4 * K)) + math.fsum(pieces) / math.pi


def onsager_free_energy(T: float, J: float = 1.0) -> float:
    """Free energy per site, -T times `onsager_log_partition`."""
    return -T * onsager_log_partition(T, J)


def onsager_energy(T: float, J: float = 1.0) -> float:
    """Mean energy per site, -J coth(2K) (1 + (2/pi) k' K_1), with k' = 2 tanh(2K)^2 - 1.

    K_1 is the complete elliptic integral of modulus k = sqrt(1 - k'^2); the value at T_c is
    -sqrt(2) J. The absolute error is about 1e-16 T, or 1e-16 J if that is larger.

    Args:
        T: Temperature.
        J: Coupling.

    References:
        Onsager, Phys. Rev. 65, 117 (1944), equation 113.
    """
    tangent, complement = _moduli(_coupling(T, J))
    product = 0.0 if complement == 0 else complement * float(ellipkm1(complement**2))
    return -J / tangent * (1 + 2 / math.pi * product)


def onsager_specific_heat(T: float, J: float = 1.0) -> float:
    """Derivative of the energy per site in T; infinite where T is T_c to the last digit.

    C = (2/pi) (K coth 2K)^2 [2 K_1 - 2 E_1 - (1 - k') (pi/2 + k' K_1)], with K_1 and E_1 the
    complete elliptic integrals of the first and second kind and k, k' as in `onsager_energy`.

    Args:
        T: Temperature.
        J: Coupling.

    References:
        Onsager, Phys. Rev. 65, 117 (1944), equation 117.
    """
    K = _coupling(T, J)
    tangent, complement = _moduli(K)
    if complement == 0:
        return math.inf
    first = float(ellipkm1(complement**2))
    # K_1 - E_1 = (k^2 / 3) R_D(0, k'^2, 1).
    difference = (1 - complement**2) / 3 * float(elliprd(0.0, complement**2, 1.0))
    bracket = 2 * difference - (1 - complement) * (math.pi / 2 + complement * first)
    return 2 / math.pi * (K / tangent) ** 2 * bracket


def spontaneous_magnetisation(T: float, J: float = 1.0) -> float:
    """Spontaneous m = (1 - sinh(2K)^-4)^(1/8) below T_c, and 0 above.

    Args:
        T: Temperature.
        J: Coupling.

    References:
        Yang, Phys. Rev. 85, 808 (1952).
    """
    K = _coupling(T, J)
    if T >= critical_temperature(J):
        return 0.0
    x = math.exp(-2 * K)
    inverse_sinh = 2 * x / -math.expm1(-4 * K)
    return max(0.0, 1 - inverse_sinh**4) ** 0.125


def _coupling(T: float, J: float) -> float:
    check_positive("T", T)
    check_positive("J", J)
    return J / T


def _moduli(K: float) -> tuple[float, float]:
    """tanh(2K), and the signed complementary modulus k' = 2 tanh(2K)^2 - 1, negative above T_c."""
    tangent = float(np.tanh(2 * K))
    return tangent, (math.sqrt(2) * tangent - 1) * (math.sqrt(2) * tangent + 1)
