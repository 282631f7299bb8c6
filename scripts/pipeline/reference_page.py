"""The report on a reference: free energies, Ramachandran pictures, convergence."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from boltzgen.estimators import (
    ALANINE_BASINS,
    angle_profile,
    basin_populations,
    free_energy_surface,
)
from boltzgen.plots import (
    draw_energies,
    draw_over_temperature,
    draw_profile,
    draw_surface,
    draw_surface_errors,
    new_figure,
    to_png,
)
from boltzgen.report import Figure, ReportContent, Section, Table
from pipeline.angles import AnglePair
from pipeline.convergence import Convergence
from pipeline.evaluation import Frames
from pipeline.reference import ReferenceFreeEnergies
from pipeline.sampling import Sampled
from pipeline.sections import plus_minus
from pipeline.summary import versions

_N_ENERGY_BINS = 80


@dataclass(frozen=True)
class ReferenceStory:
    """All that the report tells; computed already.

    Args:
        name: Name of the molecule.
        sampled: Frames, and how they were made.
        free: Free energies and mean energies.
        convergence: Statistics of the sampling.
        frames: Frames by temperature, with blocks.
        angles: The two torsions, if there are any.
        warnings: What must not be trusted.
        seconds: Wall time of sampling in this call; what was in the cache took none.
        command: The command line.
    """

    name: str
    sampled: Sampled
    free: ReferenceFreeEnergies
    convergence: Convergence
    frames: dict[float, Frames]
    angles: AnglePair | None
    warnings: list[str]
    seconds: float
    command: str

    @property
    def shown(self) -> list[Frames]:
        """Frames of the first, middle and last temperature."""
        all_frames = list(self.frames.values())
        return [all_frames[i] for i in sorted({0, len(all_frames) // 2, len(all_frames) - 1})]


def compose(story: ReferenceStory) -> ReportContent:
    """Put the report together."""
    data, free = story.sampled.frames, story.free
    sections = [_free_energy_section(story), _convergence_section(story), _energy_section(story)]
    if story.angles is not None:
        sections.append(_surface_section(story, story.angles))
    low, high = free.temperatures[0], free.temperatures[-1]
    calls = Table(
        header=["energy calls", "wall time of this call / s"],
        rows=[[f"{data.n_energy_calls:,}", f"{story.seconds:,.0f}"]],
    )
    state = "" if data.complete else " It is unfinished: the same command goes on with it."
    return ReportContent(
        title=f"Reference of {story.name}",
        subtitle=f"{low:g} K to {high:g} K, {data.n_repeats} independent ladders of "
        f"{free.temperatures.size} temperatures, by {data.sampler}",
        verdict=f"-log Z rises by {plus_minus(free.free_energy[-1], free.error[-1], 4)} kT from "
        f"{low:g} K to {high:g} K. At the slowest temperature there are "
        f"{story.convergence.n_independent.min():.0f} independent frames.{state}",
        warnings=story.warnings,
        sections=sections,
        ledger=calls,
        command=story.command,
        versions=versions(),
    )


def ramachandran(story: ReferenceStory, angles: AnglePair) -> MatplotlibFigure:
    """Free-energy surfaces at three temperatures, and their errors below; call inside a style."""
    shown = story.shown
    figure = new_figure(2, len(shown), width=4.2 * len(shown), aspect=0.85)
    for column, frames in enumerate(shown):
        top, bottom = figure.axes[column], figure.axes[len(shown) + column]
        surface = free_energy_surface(*angles.measure(frames.x), blocks=frames.blocks)
        draw_surface(surface.edges, surface.free_energy, top)
        draw_surface_errors(surface.edges, surface.errors, bottom)
        top.set_title(f"{frames.temperature:g} K")
        bottom.set_title(f"error at {frames.temperature:g} K")
        for ax in () if angles.is_ramachandran else (top, bottom):
            ax.set_xlabel(f"{angles.names[0]} / degrees")
            ax.set_ylabel(f"{angles.names[1]} / degrees")
    return figure


def free_energy_rows(story: ReferenceStory) -> list[list[str]]:
    """T, -log Z, U and independent frames, as text."""
    free, found = story.free, story.convergence
    return [
        [
            f"{t:.5g}",
            plus_minus(free.free_energy[k], free.error[k], 4),
            plus_minus(free.potential[k], free.potential_error[k], 3),
            f"{found.n_independent[k]:.0f}",
        ]
        for k, t in enumerate(free.temperatures)
    ]


FREE_ENERGY_HEADER = ["T / K", "-log Z / kT", "U / (kJ/mol)", "independent frames"]


def _free_energy_section(story: ReferenceStory) -> Section:
    free = story.free
    figure = new_figure(1, 2, width=9.5)
    draw_over_temperature(
        free.temperatures, free.free_energy, free.error, figure.axes[0],
        label="-log Z relative to the first T", reference=None,
    )  # fmt: skip
    draw_over_temperature(
        free.temperatures, free.potential, free.potential_error, figure.axes[1],
        label="U / (kJ/mol)", reference=None,
    )  # fmt: skip
    return Section(
        title="Free energy and energy",
        text="By MBAR on frames with independent energies. Errors are the larger of the "
        "asymptotic one and that from the spread over ladders. The smallest overlap of "
        f"neighbouring temperatures is {free.overlap:.3f}.",
        figures=[Figure(image=to_png(figure), wide=True,
                        caption="Configurational parts, with standard errors.")],
        tables=[Table(header=FREE_ENERGY_HEADER, rows=free_energy_rows(story),
                      caption="-log Z(T) relative to the first temperature, and the mean energy.")],
    )  # fmt: skip


def _convergence_section(story: ReferenceStory) -> Section:
    found, sampled = story.convergence, story.sampled
    swaps = [*(f"{a:.2f}" for a in found.swap_acceptance), "-"]
    rows = []
    for k, t in enumerate(story.free.temperatures):
        moves = ["-", "-"]
        if sampled.acceptance is not None and sampled.step_fs is not None:
            moves = [f"{sampled.step_fs[k]:.2f}", f"{sampled.acceptance[k]:.2f}"]
        energy = f"{found.inefficiency['energy'][k]:.1f}"
        slowest = max(found.inefficiency, key=lambda name: found.inefficiency[name][k])
        slow = f"{found.slowest[k]:.1f} ({slowest})"
        rows.append([f"{t:.5g}", *moves, swaps[k], f"{found.rhat[k]:.3f}", energy, slow])
    header = [
        "T / K", "step / fs", "accepted", "exchanges", "R-hat", "g of the energy", "slowest g"
    ]  # fmt: skip
    shortest = min(found.lengths, key=lambda name: found.lengths[name], default=None)
    length = ""
    if shortest is not None and np.isfinite(found.lengths[shortest]):
        length = (f" The run is {found.lengths[shortest]:.1f} relaxation times of the slowest "
                  f"torsion long ({shortest}).")  # fmt: skip
    return Section(
        title="Convergence",
        text=f"{found.n_round_trips:.0f} round trips of replicas over the ladder.{length} "
        "Exchanges are those with the next temperature. R-hat compares groups of ladders and their "
        "halves in time, and is the largest of any rotatable torsion; 1 is mixed. The statistical "
        "inefficiency g says how many frames of a ladder make one independent frame.",
        tables=[Table(header=header, rows=rows, caption="How replicas moved at each temperature.")],
    )  # fmt: skip


def _energy_section(story: ReferenceStory) -> Section:
    figure = new_figure(1, 1, width=7.0)
    u = [frames.potential for frames in story.frames.values()]
    edges = np.linspace(min(x.min() for x in u), max(x.max() for x in u), _N_ENERGY_BINS + 1)
    densities = {
        f"{t:.4g} K": np.histogram(x, edges, density=True)[0]
        for t, x in zip(story.frames, u, strict=True)
    }
    draw_energies(edges, densities, figure.axes[0], unit="kJ/mol")
    return Section(
        title="Energies",
        figures=[Figure(image=to_png(figure), caption="Potential energy at each temperature: "
                        "neighbours must overlap.", wide=True)],
    )  # fmt: skip


def _surface_section(story: ReferenceStory, angles: AnglePair) -> Section:
    pictures = [Figure(image=to_png(ramachandran(story, angles)), wide=True,
                       caption=f"Free energy over {angles.title} and its standard error, in kT. "
                       "Grey: no frame.")]  # fmt: skip
    for frames in story.shown:
        figure = new_figure(1, 1, width=5.0)
        profile = angle_profile(angles.measure(frames.x)[0], blocks=frames.blocks)
        draw_profile(
            profile.edges, profile.populations.values, profile.populations.errors,
            figure.axes[0], label="reference",
        )  # fmt: skip
        if not angles.is_ramachandran:
            figure.axes[0].set_xlabel(f"{angles.names[0]} / degrees")
        pictures.append(Figure(
            image=to_png(figure),
            caption=f"Population of {angles.names[0]} in bins of 10 degrees at "
            f"{frames.temperature:g} K, with standard errors.",
        ))  # fmt: skip
    tables = [_basin_table(story, angles)] if angles.is_alanine else []
    return Section(title=f"Surfaces over {angles.title}", figures=pictures, tables=tables,
                   text="Errors are from the spread over ladders or, if they are few, over blocks "
                   "longer than the correlation time.")  # fmt: skip


def _basin_table(story: ReferenceStory, angles: AnglePair) -> Table:
    rows = []
    for t, frames in story.frames.items():
        found = basin_populations(*angles.measure(frames.x), blocks=frames.blocks)
        cells = zip(found.values, found.errors, strict=True)
        rows.append([f"{t:g}", *(plus_minus(100 * v, 100 * e, 2) for v, e in cells)])
    return Table(
        header=["T / K", *(f"{basin.name} / %" for basin in ALANINE_BASINS)],
        rows=rows, caption="Populations of the basins.",
    )  # fmt: skip
