"""The report of a sweep, put together."""

import numpy as np

from boltzgen.estimators import describe_khat
from boltzgen.plots import style
from boltzgen.plots.series import MONTE_CARLO
from boltzgen.report import ReportContent, Section, Table
from pipeline.agreement import farthest
from pipeline.curves import training_section
from pipeline.numbers import Numbers, percentage, quote
from pipeline.routes import combined_errors, differences
from pipeline.summary import versions
from pipeline.trust import untrusted
from sweep.figures import free_energy_figures, observable_figures, weight_figures
from sweep.lattice import Observable
from sweep.story import (
    SweepStory,
    agreements_of,
    forward_ess,
    reference_of,
    reverse_ess,
    sources_of,
)
from sweep.tables import AGREEMENT_HEADER, Rows, agreement_rows

__all__ = ["SweepStory", "compose"]

_METHODS = {"flow": "flow", "mc": "Monte Carlo", "both": "flow and Monte Carlo"}
_MOST_NAMED = 8


def compose(story: SweepStory) -> ReportContent:
    """Put the report together."""
    config = story.config
    with style():
        sections = [_phase_section(story)]
        if story.results.flow:
            sections.append(_weights_section(story))
        if story.results.free:
            sections.append(_free_energy_section(story))
        if story.history:
            sections.append(training_section(story.history, control=story.symbols[0]))
    ranges = ", ".join(
        f"{symbol} from {v[0]:g} to {v[-1]:g} ({len(v)})"
        for symbol, v in zip(story.symbols, config.values, strict=True)
    )
    return ReportContent(
        title=f"Sweep of {config.lattice.name}",
        subtitle=f"{ranges}; by {_METHODS[config.method]}{_training(story)}; preset "
        f"{config.preset}, seed {config.seed}",
        verdict=_verdict(story),
        warnings=story.results.warnings,
        sections=sections,
        ledger=_ledger(story),
        command=story.command,
        versions=versions(),
    )


def _training(story: SweepStory) -> str:
    if not story.results.flow:
        return ""
    known = [
        ", ".join(f"{s} = {v:g}" for s, v in zip(story.symbols, at, strict=True))
        for at in story.boundaries
    ]
    data = f" on data at {'; '.join(known)}" if known else " without data"
    return f", trained{data} ({story.config.learn.objective})"


def _verdict(story: SweepStory) -> str:
    parts = []
    if story.results.flow:
        parts += [_say_ess(story), _say_distrust(story)]
    if story.results.monte_carlo and not story.results.flow:
        parts.append(_say_monte_carlo(story))
    parts += [_say_agreement(story), _say_free_energy(story)]
    return " ".join(part for part in parts if part)


def _say_ess(story: SweepStory) -> str:
    forward = forward_ess(story)
    text = (
        f"Of {story.config.evaluation.n_samples:,} samples of the flow at each of "
        f"{story.n_points} points, the effective share (ESS/N, no weight clipped) is at least "
        f"{_lowest(story, reverse_ess(story))}"
    )
    if forward is None:
        return f"{text}; it is not known how much of the target the flow misses."
    return f"{text}; on Monte Carlo configurations (forward) {_lowest(story, forward)}."


def _lowest(story: SweepStory, ess: Numbers) -> str:
    number = int(np.nanargmin(ess.values))
    return f"{percentage(ess.values[number], ess.errors[number])} % (at {story.at(number)})"


def _say_distrust(story: SweepStory) -> str:
    bad = untrusted(story.results.flow)
    if not bad:
        return ""
    named = [story.at(number) for number in bad[:_MOST_NAMED]]
    more = f" and at {len(bad) - _MOST_NAMED} more points" if len(bad) > _MOST_NAMED else ""
    return (
        f"Do not trust the flow at {'; '.join(named)}{more}: k-hat is above 0.7 there, or the "
        "forward ESS far below the reverse."
    )


def _say_monte_carlo(story: SweepStory) -> str:
    times = [
        (found.tau_int, number, name)
        for number, at in enumerate(story.results.monte_carlo)
        for name, found in at.items()
        if not np.isnan(found.tau_int)
    ]
    if not times:
        return "Monte Carlo never moved."
    longest, number, name = max(times)
    (label,) = (each.label for each in story.lattice.observables if each.name == name)
    settings = story.config.monte_carlo
    return (
        f"Monte Carlo took {settings.n_chains} chains of {settings.n_records:,} records at each of "
        f"{story.n_points} points; the longest autocorrelation time is {longest:.3g} records "
        f"({_short(label)} at {story.at(number)})."
    )


def _say_agreement(story: SweepStory) -> str:
    sentences = []
    by_pair: dict[str, list[tuple[float, str, int, float]]] = {}
    n_compared: dict[str, int] = {}
    for each in story.lattice.observables:
        for pair, found in agreements_of(story, each.name).items():
            worst = farthest(found.z)
            if worst is None:
                continue
            row = (float(abs(found.z[worst])), _short(each.label), worst, found.p_value)
            by_pair.setdefault(pair, []).append(row)
            n_compared[pair] = n_compared.get(pair, 0) + int(np.isfinite(found.z).sum())
    for pair, rows in by_pair.items():
        z, label, at, _ = max(rows)
        *_, smallest = min(rows, key=lambda row: row[3])
        sentences.append(
            f"Of {n_compared[pair]} differences “{pair}” the largest has |z| = {z:.1f} ({label} at "
            f"{story.at(at)}); the smallest chi-square p of an observable is {smallest:.2g}."
        )
    return " ".join(sentences)


def _say_free_energy(story: SweepStory) -> str:
    free = story.results.free
    if len(free) < 2:
        return ""
    reference = reference_of(free)
    errors = combined_errors(free, reference)
    rows = [
        (float(abs(found.values[at])), name, at, float(errors[name][at]))
        for name, found in differences(free, reference).items()
        if name != reference
        for at in [farthest(found.values)]
        if at is not None
    ]
    if not rows:
        return ""
    largest, name, at, error = max(rows)
    z = f" ({largest / error:.1f} standard errors)" if error > 0 else ""
    return (
        f"No free energy of the whole lattice is further from “{reference}” than "
        f"{quote(largest, error)} nats{z}: “{name}” at {story.at(at)}."
    )


def _phase_section(story: SweepStory) -> Section:
    agreement = agreement_rows(story)
    tables = [_observable_table(story, each) for each in story.lattice.observables]
    if agreement:
        caption = (
            "How the sources agree: largest difference in standard errors, and chi-square over "
            "all points."
        )
        tables.insert(0, Table(header=AGREEMENT_HEADER, rows=agreement, caption=caption))
    return Section(
        title="Phase diagram",
        text="Errors are one standard error: of the flow by the bootstrap, of Monte Carlo by the "
        "Gamma method. The reweighted flow is exact for many samples; the raw one shows how much "
        "is left to the weights.",
        figures=observable_figures(story),
        tables=tables,
    )


def _observable_table(story: SweepStory, observable: Observable) -> Table:
    name = observable.name
    header = [", ".join(story.symbols)]
    columns = [_points(story)]
    for source, numbers in sources_of(story, name).items():
        header.append(source)
        columns.append([quote(v, e) for v, e in zip(*numbers, strict=True)])
        if source == MONTE_CARLO:
            header.append("τ / records")
            times = [each[name] for each in story.results.monte_carlo]
            columns.append([quote(each.tau_int, each.tau_int_error) for each in times])
    for pair, found in agreements_of(story, name).items():
        header.append(f"z of {pair}")
        columns.append([f"{z:+.1f}" if np.isfinite(z) else "-" for z in found.z])
    return Table(
        header=header, rows=_transposed(columns), caption=f"Numbers: {observable.label}",
        folded=True,
    )  # fmt: skip


def _points(story: SweepStory) -> list[str]:
    return [", ".join(f"{v:.6g}" for v in values) for values in story.results.values]


def _transposed(columns: list[list[str]]) -> Rows:
    return [list(row) for row in zip(*columns, strict=True)]


def _weights_section(story: SweepStory) -> Section:
    reverse, forward = reverse_ess(story), forward_ess(story)
    bad = untrusted(story.results.flow)
    rows = [
        [
            point,
            percentage(reverse.values[i], reverse.errors[i]),
            "-" if forward is None else percentage(forward.values[i], forward.errors[i]),
            f"{each.khat:.2f}", describe_khat(each.khat).split(":")[0],
            "no" if i in bad else "yes", quote(each.log_z.value, each.log_z.error),
        ]
        for i, (point, each) in enumerate(zip(_points(story), story.results.flow, strict=True))
    ]  # fmt: skip
    header = [
        ", ".join(story.symbols), "reverse ESS/N / %", "forward / %", "k-hat", "weights",
        "trust", "log Z / nats",
    ]  # fmt: skip
    return Section(
        title="How good are the weights?",
        text="Reverse ESS is measured on samples of the flow and cannot see what the flow misses; "
        "forward ESS is measured on Monte Carlo configurations and can. Where it is below a fifth "
        "of the reverse one, or k-hat above 0.7, the flow is not to be trusted.",
        figures=weight_figures(story),
        tables=[Table(header=header, rows=rows, caption="Weights at each point.")],
    )


def _free_energy_section(story: SweepStory) -> Section:
    free = story.results.free
    reference = reference_of(free)
    errors = combined_errors(free, reference)
    header = [", ".join(story.symbols), *free]
    curves = [
        [quote(v, e) for v, e in zip(curve.values, curve.errors, strict=True)]
        for curve in free.values()
    ]
    relative = [name for name, curve in free.items() if curve.relative]
    note = f" Relative to the first point: {', '.join(relative)}." if relative else ""
    tables = [Table(header=header, rows=_transposed([_points(story), *curves]),
                    caption=f"−log Z of the whole lattice in nats.{note}")]  # fmt: skip
    others = {
        name: found for name, found in differences(free, reference).items() if name != reference
    }
    if others:
        cells = [
            [_difference(v, e) for v, e in zip(found.values, errors[name], strict=True)]
            for name, found in others.items()
        ]
        tables.append(
            Table(header=[header[0], *others], rows=_transposed([_points(story), *cells]),
                  caption=f"−log Z minus that by “{reference}”, in nats, and in standard errors; "
                  "errors as if both were independent.")
        )  # fmt: skip
    return Section(
        title="Free energy",
        text="−log Z by routes that share as little as possible. Importance sampling and the "
        "mixture of flows have the same samples, the integral has others.",
        figures=free_energy_figures(story),
        tables=tables,
    )


def _difference(value: float, error: float) -> str:
    z = f" ({value / error:+.1f} σ)" if error > 0 else ""
    return quote(value, error) + z


def _ledger(story: SweepStory) -> Table:
    rows = [[stage, f"{seconds:,.0f}"] for stage, seconds in story.seconds.items()]
    rows.append(["all", f"{sum(story.seconds.values()):,.0f}"])
    return Table(header=["stage", "wall time / s"], rows=rows)


def _short(label: str) -> str:
    """The symbol alone of a label such as "χ = V (…)"."""
    return label.split(" = ")[0]
