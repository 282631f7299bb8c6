"""Bayesian posteriors whose likelihood has a power, from the prior at 0 to the posterior at 1."""

from systems.posteriors.bridge import Bridge
from systems.posteriors.densities import (
    half_cauchy_log_density,
    lognormal_log_density,
    normal_log_density,
)
from systems.posteriors.eight_schools import EightSchools, SchoolMoments
from systems.posteriors.funnel import Funnel
from systems.posteriors.gaussian_process import GaussianProcess
from systems.posteriors.mixtures import FortyGaussians, MixtureBridge, SixGaussians
from systems.posteriors.parameters import Parameter, ParameterSpace, Values
from systems.posteriors.posterior import Posterior
from systems.posteriors.regression import LogisticRegression
from systems.posteriors.slcp import SLCP
from systems.posteriors.supports import Interval, Positive, Real, Simplex, Support
from systems.posteriors.two_moons import TwoMoons
from systems.posteriors.wells import ManyWellBridge

__all__ = [
    "SLCP",
    "Bridge",
    "EightSchools",
    "FortyGaussians",
    "Funnel",
    "GaussianProcess",
    "Interval",
    "LogisticRegression",
    "ManyWellBridge",
    "MixtureBridge",
    "Parameter",
    "ParameterSpace",
    "Positive",
    "Posterior",
    "Real",
    "SchoolMoments",
    "Simplex",
    "SixGaussians",
    "Support",
    "TwoMoons",
    "Values",
    "half_cauchy_log_density",
    "lognormal_log_density",
    "normal_log_density",
]
