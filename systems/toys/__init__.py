"""Systems with exact answers: the ground that statistical tests stand on."""

from systems.toys.exact import ExactTarget
from systems.toys.harmonic import HarmonicWell
from systems.toys.mixture import GaussianMixture
from systems.toys.quartic import QuarticWell
from systems.toys.wells import DoubleWell2D, ManyWell, MultiWell

__all__ = [
    "DoubleWell2D",
    "ExactTarget",
    "GaussianMixture",
    "HarmonicWell",
    "ManyWell",
    "MultiWell",
    "QuarticWell",
]
