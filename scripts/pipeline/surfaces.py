"""The section of the report on free-energy surfaces over two torsions."""

import numpy as np
from matplotlib.axes import Axes

from boltzgen.estimators import ALANINE_BASINS, Surface, free_energy_surface
from boltzgen.plots import draw_profile, draw_surface, draw_surface_errors, new_figure, to_png
from boltzgen.report import Figure, Section, Table
from pipeline.angles import AnglePair
from pipeline.evaluation import AtTemperature, Frames
from pipeline.story import Story, shown_points


def surfaces_section(story: Story, angles: AnglePair) -> Section:
    """Free-energy surfaces, profiles and basins."""
    figures = []
    for point in shown_points(story):
        frames = story.frames.get(point.temperature)
        maps = _maps(point, frames, angles)
        figure = new_figure(2, 2, width=9.5)
        *pictures, last = figure.axes[: len(maps) + 1]
        for spare in figure.axes[len(maps) + 1 :]:
            spare.set_visible(False)
        for ax, (name, surface) in zip(pictures, maps, strict=True):
            draw_surface(surface.edges, surface.free_energy, ax)
            ax.set_title(name)
        weighted = maps[1][1]
        draw_surface_errors(weighted.edges, weighted.errors, last)
        last.set_title("error of the reweighted model")
        for ax in (*pictures, last):
            _label(ax, angles)
        caption = f"Free energy over {angles.title} at {point.temperature:g} K, in kT."
        figures.append(Figure(image=to_png(figure), caption=caption, wide=True))
        if point.torsions.profile is not None:
            figures.append(_profile_figure(story, point, angles))
    tables = [_basin_table(story)] if angles.is_alanine else []
    return Section(
        title=f"Surfaces over {angles.title}", figures=figures,
        tables=tables,
        text="Reweighted surfaces, profiles and populations use the samples of all temperatures, "
        "by the balance heuristic. Grey: no sample. The error map is the standard error of the "
        "reweighted surface.",
    )  # fmt: skip


def _label(ax: Axes, angles: AnglePair) -> None:
    if not angles.is_ramachandran:
        ax.set_xlabel(f"{angles.names[0]} / degrees")
        ax.set_ylabel(f"{angles.names[1]} / degrees")


def _maps(
    point: AtTemperature, frames: Frames | None, angles: AnglePair
) -> list[tuple[str, Surface]]:
    maps = [("model", free_energy_surface(*angles.measure(point.samples.x)))]
    if point.torsions.surface is not None:
        maps.append(("reweighted model", point.torsions.surface))
    if frames is not None:
        maps.append((frames.source, free_energy_surface(*angles.measure(frames.x))))
    return maps


def _profile_figure(story: Story, point: AtTemperature, angles: AnglePair) -> Figure:
    figure = new_figure(1, 1, width=5.0)
    reference, words = None, ""
    if story.agreement is not None and point.temperature in story.agreement.profiles:
        found = story.agreement.profiles[point.temperature].populations
        comparison = story.agreement.comparisons[point.temperature]
        reference = (found.values, found.errors)
        words = (f" Largest |z| of a bin {float(np.nanmax(np.abs(comparison.z))):.1f}, "
                 f"chi-square p = {comparison.p_value:.2g}.")  # fmt: skip
    profile = point.torsions.profile
    if profile is None:
        raise ValueError("point: expected a profile, got none")
    draw_profile(
        profile.edges, profile.populations.values, profile.populations.errors, figure.axes[0],
        reference=reference,
    )  # fmt: skip
    if not angles.is_ramachandran:
        figure.axes[0].set_xlabel(f"{angles.names[0]} / degrees")
    return Figure(
        image=to_png(figure),
        caption=f"Population of {angles.names[0]} in bins of 10 degrees at "
        f"{point.temperature:g} K, with standard errors.{words}",
    )


def _basin_table(story: Story) -> Table:
    rows = []
    for point in story.evaluation.points:
        if point.torsions.basins is not None:
            cells = zip(point.torsions.basins.values, point.torsions.basins.errors, strict=True)
            rows.append(
                [
                    f"{point.temperature:g}",
                    *(f"{100 * v:.2f} ± {100 * e:.2f}" if e > 0 else "none" for v, e in cells),
                ]
            )
    return Table(
        header=["T / K", *(f"{basin.name} / %" for basin in ALANINE_BASINS)], rows=rows,
        caption="Populations of the basins, reweighted.",
    )  # fmt: skip
