"""Pictures: arrays and an Axes in, the Axes out; nothing is computed, no file is opened."""

from boltzgen.plots.overlap import draw_overlap
from boltzgen.plots.ramachandran import draw_profile, draw_surface, draw_surface_errors
from boltzgen.plots.style import new_figure, style, to_png
from boltzgen.plots.thermodynamics import draw_energies, draw_over_temperature
from boltzgen.plots.training import draw_training
from boltzgen.plots.weights import draw_ess, draw_khat

__all__ = [
    "draw_energies",
    "draw_ess",
    "draw_khat",
    "draw_over_temperature",
    "draw_overlap",
    "draw_profile",
    "draw_surface",
    "draw_surface_errors",
    "draw_training",
    "new_figure",
    "style",
    "to_png",
]
