"""Estimators: float64 arrays in, frozen results with errors out."""

from boltzgen.estimators.autocorrelation import (
    block_labels,
    independent_indices,
    statistical_inefficiency,
)
from boltzgen.estimators.conditional import (
    ConditionalFreeEnergies,
    conditional_free_energies,
    mixture_free_energies,
)
from boltzgen.estimators.mbar import FreeEnergies, bar, mbar
from boltzgen.estimators.resampling import Estimate
from boltzgen.estimators.tails import describe_khat, pareto_khat, reliable
from boltzgen.estimators.weights import (
    effective_sample_size,
    elbo,
    eubo,
    evidence_gap,
    forward_ess,
    log_evidence,
    normalise,
    reverse_ess,
)

__all__ = [
    "ConditionalFreeEnergies",
    "Estimate",
    "FreeEnergies",
    "bar",
    "block_labels",
    "conditional_free_energies",
    "describe_khat",
    "effective_sample_size",
    "elbo",
    "eubo",
    "evidence_gap",
    "forward_ess",
    "independent_indices",
    "log_evidence",
    "mbar",
    "mixture_free_energies",
    "normalise",
    "pareto_khat",
    "reliable",
    "reverse_ess",
    "statistical_inefficiency",
]
