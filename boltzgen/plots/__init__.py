"""Pictures: arrays and an Axes in, the Axes out; nothing is computed, no file is opened."""

from boltzgen.plots.calibration import draw_coverage, draw_rank_ecdf, draw_ranks
from boltzgen.plots.overlap import draw_overlap
from boltzgen.plots.posterior import (
    draw_band,
    draw_deviations,
    draw_joint,
    draw_marginal,
    draw_pairs,
    draw_traces,
    new_pair_figure,
    pair_handles,
)
from boltzgen.plots.ramachandran import draw_profile, draw_surface, draw_surface_errors
from boltzgen.plots.style import new_figure, style, to_png
from boltzgen.plots.thermodynamics import draw_energies, draw_over_temperature
from boltzgen.plots.training import draw_training
from boltzgen.plots.weights import draw_ess, draw_khat

__all__ = [
    "draw_band",
    "draw_coverage",
    "draw_deviations",
    "draw_energies",
    "draw_ess",
    "draw_joint",
    "draw_khat",
    "draw_marginal",
    "draw_over_temperature",
    "draw_overlap",
    "draw_pairs",
    "draw_profile",
    "draw_rank_ecdf",
    "draw_ranks",
    "draw_surface",
    "draw_surface_errors",
    "draw_traces",
    "draw_training",
    "new_figure",
    "new_pair_figure",
    "pair_handles",
    "style",
    "to_png",
]
