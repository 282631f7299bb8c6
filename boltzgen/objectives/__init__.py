"""Losses as values: forward and reverse KL, TRADE, log-variance, and weighted sums of them."""

from boltzgen.objectives.control_gradient import ControlGradient
from boltzgen.objectives.controls import ControlSampler, LogUniform, UniformBox, WithContexts
from boltzgen.objectives.derivatives import (
    CentralDifference,
    ControlDerivative,
    ControlSlope,
    ExactDerivative,
)
from boltzgen.objectives.expectations import ExpectationTable
from boltzgen.objectives.forward_kl import ForwardKL
from boltzgen.objectives.free_form import (
    FreeFormLikelihood,
    Reconstruction,
    Surrogate,
    free_form_surrogate,
)
from boltzgen.objectives.free_form_gradient import FreeFormControlGradient, control_slopes
from boltzgen.objectives.free_form_reverse import FreeFormReverseKL
from boltzgen.objectives.grid import CausalSampler, ControlGrid, log_spaced_grid
from boltzgen.objectives.gridless import GridlessControlGradient
from boltzgen.objectives.log_variance import LogVariance
from boltzgen.objectives.penalties import Huber, Penalty, Squared
from boltzgen.objectives.points import (
    ControlPoints,
    DataPoints,
    FlowPoints,
    MissingPoints,
    PointSource,
)
from boltzgen.objectives.reverse_kl import ReverseKL, regularise
from boltzgen.objectives.slopes import OffersFirstSlope, energy_and_first_slope
from boltzgen.objectives.weighted import GradientBalance, Ramp, Term, Weighted

__all__ = [
    "CausalSampler",
    "CentralDifference",
    "ControlDerivative",
    "ControlGradient",
    "ControlGrid",
    "ControlPoints",
    "ControlSampler",
    "ControlSlope",
    "DataPoints",
    "ExactDerivative",
    "ExpectationTable",
    "FlowPoints",
    "ForwardKL",
    "FreeFormControlGradient",
    "FreeFormLikelihood",
    "FreeFormReverseKL",
    "GradientBalance",
    "GridlessControlGradient",
    "Huber",
    "LogUniform",
    "LogVariance",
    "MissingPoints",
    "OffersFirstSlope",
    "Penalty",
    "PointSource",
    "Ramp",
    "Reconstruction",
    "ReverseKL",
    "Squared",
    "Surrogate",
    "Term",
    "UniformBox",
    "Weighted",
    "WithContexts",
    "control_slopes",
    "energy_and_first_slope",
    "free_form_surrogate",
    "log_spaced_grid",
    "regularise",
]
