"""Estimators: float64 arrays in, frozen results with errors out."""

from boltzgen.estimators.autocorrelation import (
    block_labels,
    independent_indices,
    statistical_inefficiency,
)
from boltzgen.estimators.calibration import Coverage, calibration_ranks, coverage
from boltzgen.estimators.comparison import Comparison, compare_populations
from boltzgen.estimators.conditional import (
    ConditionalFreeEnergies,
    conditional_free_energies,
    mixture_free_energies,
)
from boltzgen.estimators.convergence import split_rhat
from boltzgen.estimators.derived import function_of_means
from boltzgen.estimators.gamma_method import GammaEstimate, gamma_method
from boltzgen.estimators.histograms import Populations
from boltzgen.estimators.mbar import FreeEnergies, bar, mbar
from boltzgen.estimators.moments import Moments, weighted_moments
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
from boltzgen.estimators.thermodynamic_integration import (
    IntegratedTables,
    Quadrature,
    SlopeTable,
    ThermodynamicIntegral,
    integrate_tables,
    integration_weights,
    slope_table,
    thermodynamic_integration,
)
from boltzgen.estimators.thermodynamics import (
    Energetics,
    Thermodynamics,
    reference_energetics,
    thermodynamics,
)
from boltzgen.estimators.transport import wasserstein_2
from boltzgen.estimators.two_samples import (
    ClassifierTest,
    EnergyDistanceTest,
    classifier_two_sample_test,
    energy_distance_test,
)
from boltzgen.estimators.uniformity import Uniformity, uniformity
from boltzgen.estimators.unweighting import resample
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
    "ClassifierTest",
    "Comparison",
    "ConditionalFreeEnergies",
    "Coverage",
    "Energetics",
    "EnergyDistanceTest",
    "Estimate",
    "FreeEnergies",
    "GammaEstimate",
    "HistogramDistance",
    "IntegratedTables",
    "Moments",
    "Populations",
    "Profile",
    "Quadrature",
    "SlopeTable",
    "Surface",
    "ThermodynamicIntegral",
    "Thermodynamics",
    "Uniformity",
    "angle_profile",
    "bar",
    "basin_populations",
    "block_labels",
    "calibration_ranks",
    "classifier_two_sample_test",
    "compare_populations",
    "conditional_free_energies",
    "coverage",
    "describe_khat",
    "effective_sample_size",
    "elbo",
    "energy_distance_test",
    "eubo",
    "evidence_gap",
    "forward_ess",
    "free_energy_surface",
    "function_of_means",
    "gamma_method",
    "independent_indices",
    "integrate_tables",
    "integration_weights",
    "log_evidence",
    "mbar",
    "mixture_free_energies",
    "normalise",
    "pareto_khat",
    "ramachandran_distance",
    "reference_energetics",
    "reliable",
    "resample",
    "reverse_ess",
    "slope_table",
    "split_rhat",
    "statistical_inefficiency",
    "thermodynamic_integration",
    "thermodynamics",
    "uniformity",
    "wasserstein_2",
    "weighted_moments",
]
