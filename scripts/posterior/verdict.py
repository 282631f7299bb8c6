"""What a posterior flow reached and where not to trust it, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from boltzgen.estimators import Estimate
from pipeline.numbers import percentage, quote
from pipeline.trust import untrusted
from posterior.agreement import (
    averages,
    compared,
    largest_gap,
    largest_z,
    posterior_point,
    reference_name,
    smallest_p,
)
from posterior.evaluation import SAMPLING
from posterior.results import PosteriorResults, PosteriorStory

_MOST_NAMED = 8
_LEAST_P, _DOUBTFUL_P = 0.01, 0.05


def verdict_of(story: PosteriorStory) -> str:
    """One paragraph."""
    results = story.results
    parts = [
        _say_ess(story), _say_over(results), _say_distrust(results), _say_agreement(results),
        _say_classifier(results), _say_evidence(results), _say_calibration(results),
        _say_chains(results),
    ]  # fmt: skip
    return " ".join(part for part in parts if part)


def _say_ess(story: PosteriorStory) -> str:
    points = story.results.points
    n_samples = len(points[0].samples.log_w)
    where = f"each of {len(points)} powers" if len(points) > 1 else f"β = {points[0].beta:.4g}"
    text = (
        f"Of {n_samples:,} samples of the flow at {where}, the effective share (ESS/N, no weight "
        f"clipped) is {_range(story.results.betas, [p.ess_reverse for p in points])}"
    )
    known = [(p.beta, p.ess_forward) for p in points if p.ess_forward is not None]
    if not known:
        return f"{text}; there are no draws that could show what the flow misses."
    betas = np.array([beta for beta, _ in known])
    return f"{text}; on draws of the reference (forward) {_range(betas, [e for _, e in known])}."


def _range(betas: np.ndarray, estimates: Sequence[Estimate]) -> str:
    """The lowest and the highest share, and where."""
    values = np.array([each.value for each in estimates])
    low, high = int(np.argmin(values)), int(np.argmax(values))
    if low == high:
        return f"{percentage(estimates[low].value, estimates[low].error)} %"
    words = [
        f"{percentage(estimates[k].value, estimates[k].error)} % (β = {betas[k]:.4g})"
        for k in (low, high)
    ]
    return f"between {words[0]} and {words[1]}"


def _say_over(results: PosteriorResults) -> str:
    if results.over is None:
        return ""
    over, found = results.over, averages(results.over)
    at = int(np.argmin(np.abs(over.betas - 1)))
    text = (
        f"Over {len(over.ess)} observations it is {percentage(found.ess.values[at], 0.0)} % on "
        f"average at β = {over.betas[at]:.4g}, and {100 * found.ess_lowest[at]:.3g} % at the worst."
    ) if np.isnan(found.ess.errors[at]) else (
        f"Over {len(over.ess)} observations its mean at β = {over.betas[at]:.4g} is "
        f"{percentage(found.ess.values[at], found.ess.errors[at])} %, the lowest "
        f"{100 * found.ess_lowest[at]:.3g} %."
    )  # fmt: skip
    if found.log_z is not None:
        worst = int(np.argmax(found.log_z.rms))
        text += (
            f" Their log evidence is off the exact one by {found.log_z.rms[worst]:.2g} nats rms "
            f"at the worst power (β = {over.betas[worst]:.4g})."
        )
    return text


def _say_distrust(results: PosteriorResults) -> str:
    bad = untrusted(results.points)
    if not bad:
        return ""
    named = ", ".join(f"{results.points[k].beta:.4g}" for k in bad[:_MOST_NAMED])
    more = f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    return (
        f"Do not trust the flow at β = {named}{more}: k-hat is above 0.7 there, or the forward ESS "
        "far below the reverse."
    )


def _say_agreement(results: PosteriorResults) -> str:
    found = {point: worst for point in range(len(results.points))
             if (worst := largest_z(results.points[point])) is not None}  # fmt: skip
    if not found:
        return "Nothing independent was there to compare means and standard deviations with."
    point, worst = max(found.items(), key=lambda item: item[1].z)
    pairs = [pair for k in found if (pair := compared(results.points[k])) is not None]
    n = sum(int((~np.isnan(each.z)).sum()) for pair in pairs for each in pair)
    sources = {p.reference.source for p in results.points if p.reference is not None}
    return (
        f"Of {n} differences of means and standard deviations from the reference "
        f"({', '.join(sorted(sources))}) the largest has |z| = {worst.z:.1f} ({worst.what} of "
        f"{results.labels[worst.component]} at β = {results.points[point].beta:.4g})."
    )


def _say_classifier(results: PosteriorResults) -> str:
    tests = [(p.c2st[1], p.beta, p.c2st[0]) for p in results.points if p.c2st is not None]
    if not tests:
        return ""
    p_value, beta, accuracy = min(tests, key=lambda test: test[0])
    p_value = min(1.0, len(tests) * p_value)
    can = "tells" if p_value < _LEAST_P else "cannot tell"
    times = f" times {len(tests)} powers" if len(tests) > 1 else ""
    return (
        f"A classifier {can} flow from reference: the smallest p{times} is {p_value:.2g}, at β = "
        f"{beta:.4g} with an accuracy of {quote(accuracy.value, accuracy.error)}."
    )


def _say_evidence(results: PosteriorResults) -> str:
    route = results.evidence.get(SAMPLING)
    if route is None:
        return ""
    at = posterior_point(results)
    text = (
        f"log Z at β = {results.betas[at]:.4g} is {quote(route.values[at], route.errors[at])} nats "
        f"by {SAMPLING}."
    )
    gap = largest_gap(results)
    if gap is None:
        return text
    z = f" ({gap.nats / gap.error:.1f} standard errors)" if gap.error > 0 else ""
    return (
        f"{text} No route to it is further from “{reference_name(results)}” than "
        f"{quote(gap.nats, gap.error)}{z}: “{gap.route}” at β = {results.betas[gap.number]:.4g}."
    )


def _say_calibration(results: PosteriorResults) -> str:
    calibration = results.calibration
    if calibration is None:
        return ""
    words = []
    for source in calibration.uniformity:
        p_value, label = smallest_p(calibration, source)
        are = "consistent with uniform ones"
        if p_value < _DOUBTFUL_P:
            are = "not uniform" if p_value < _LEAST_P else "doubtful"
        words.append(f"{source}, {are} (p = {p_value:.2g}, {label})")
    n_truths = len(next(iter(calibration.ranks.values())))
    return f"Ranks of {n_truths:,} simulated truths: {'; '.join(words)}."


def _say_chains(results: PosteriorResults) -> str:
    chains = results.chains
    if chains is None:
        return ""
    text = (
        f"As a proposal of Metropolis-Hastings at β = {chains.beta:.4g} the flow is accepted in "
        f"{100 * chains.acceptance:.1f} % of steps"
    )
    if not chains.label:
        return f"{text}."
    if not np.isfinite(chains.tau.value):
        return f"{text}, but {chains.label} moves too slowly for its autocorrelation to be known."
    return (
        f"{text}, with an autocorrelation time of at most "
        f"{quote(chains.tau.value, chains.tau.error)} steps."
    )
