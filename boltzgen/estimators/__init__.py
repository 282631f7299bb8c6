"""Estimators: float64 arrays in, frozen results with errors out."""

from boltzgen.estimators.autocorrelation import (
    block_labels,
    independent_indices,
    statistical_inefficiency,
)
from boltzgen.estimators.comparison import Comparison, compare_populations
from boltzgen.estimators.conditional import (
    ConditionalFreeEnergies,
    conditional_free_energies,
    mixture_free_energies,
)
from boltzgen.estimators.derived import function_of_means
from boltzgen.estimators.gamma_method import GammaEstimate, gamma_method
from boltzgen.estimators.histograms import Populations
from boltzgen.estimators.mbar import FreeEnergies, bar, mbar
from boltzgen.estimators.resampling import Estimate
from boltzgen.estimators.surfaces import (
    ALANINE_BASINS,
    Basin,
    HistogramDistance,
    Profile,
    Surface,
    angle_profile,
    basin_populations,
    free_energy_surface,
    ramachandran_distance,
)
from boltzgen.estimators.tails import describe_khat, pareto_khat, reliable
from boltzgen.estimators.thermodynamics import (
    Energetics,
    Thermodynamics,
    reference_energetics,
    thermodynamics,
)
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
    "ALANINE_BASINS",
    "Basin",
    "Comparison",
    "ConditionalFreeEnergies",
    "Energetics",
    "Estimate",
    "FreeEnergies",
    "GammaEstimate",
    "HistogramDistance",
    "Populations",
    "Profile",
    "Surface",
    "Thermodynamics",
    "angle_profile",
    "bar",
    "basin_populations",
    "block_labels",
    "compare_populations",
    "conditional_free_energies",
    "describe_khat",
    "effective_sample_size",
    "elbo",
    "eubo",
    "evidence_gap",
    "forward_ess",
    "free_energy_surface",
    "function_of_means",
    "gamma_method",
    "independent_indices",
    "log_evidence",
    "mbar",
    "mixture_free_energies",
    "normalise",
    "pareto_khat",
    "ramachandran_distance",
    "reference_energetics",
    "reliable",
    "reverse_ess",
    "statistical_inefficiency",
    "thermodynamics",
]
