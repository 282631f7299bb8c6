"""The page on a posterior is complete whatever there is to show, and says what is bad."""

from dataclasses import replace

import numpy as np
import pytest

from boltzgen.estimators import Estimate
from boltzgen.report import render_report
from pipeline import curves
from posterior import figures, pictures
from posterior.page import compose
from tests.scripts import posterior_stories

POSTERIOR, WEIGHTS, EVIDENCE = "Posterior", "How good are the weights?", "Evidence"
CALIBRATION, OVER, CHAINS = "Calibration", "Over observations", "Flow as proposal"
FULL = [POSTERIOR, WEIGHTS, EVIDENCE, CALIBRATION, OVER, CHAINS, "Training"]
BARE = ("reference", "exact", "over", "calibration", "chains")
CASES = {
    "all": ({}, FULL),
    "two components": ({"n": 2}, FULL),
    "one component": ({"n": 1}, FULL),
    "one power": ({"betas": (1.0,)}, FULL),
    "one component, one power, nothing else": (
        {"n": 1, "betas": (1.0,), "without": BARE}, [POSTERIOR, WEIGHTS, EVIDENCE, "Training"],
    ),
    "two components, two powers": ({"n": 2, "betas": (0.0, 1.0), "offset": 0.01}, FULL),
    "from the prior": (
        {"n": 4, "betas": (0.0, 0.01, 0.1, 1.0), "offset": 0.003, "without": ("over",)},
        [each for each in FULL if each != OVER],
    ),
    "not to one": ({"betas": (0.01, 0.1, 0.5), "without": ("calibration", "exact")},
                   [each for each in FULL if each != CALIBRATION]),
}  # fmt: skip


@pytest.fixture
def unseen(monkeypatch):
    """Pictures are drawn, but not rendered, which takes most of the time."""
    for module in (figures, pictures, curves):
        monkeypatch.setattr(module, "to_png", lambda figure: b"\x89PNG\r\n\x1a\n")


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("name", CASES)
def test_every_combination_has_its_page(name):
    words, titles = CASES[name]
    content = compose(posterior_stories.story(**words))
    assert [section.title for section in content.sections] == titles
    assert all(section.figures for section in content.sections)
    text = render_report(content)
    assert "nan" not in content.verdict
    for section in content.sections:
        for table in section.tables:
            assert not any("nan" in cell for row in table.rows for cell in row), table.caption
    assert text.count("<img") == sum(len(s.figures) for s in content.sections)
    assert "python scripts/temper_posterior.py" in text


def test_a_page_of_many_components_renders():
    without = ("exact", "chains")
    content = compose(posterior_stories.story(n=32, betas=(0.4, 1.0, 2.1), without=without))
    captions = [figure.caption for section in content.sections for figure in section.figures]
    assert "The first 6 of 32 components." in captions[0]
    assert any("The 6 components whose ranks are the least uniform." in c for c in captions)
    assert table_of(content, "Are the ranks uniform?").folded
    assert len(render_report(content)) > 100_000


def table_of(content, caption):
    return next(t for s in content.sections for t in s.tables if caption in t.caption)


@pytest.mark.usefixtures("unseen")
def test_tables_hold_the_numbers():
    story = posterior_stories.story()
    content, results = compose(story), story.results
    values = table_of(content, "Log evidence in nats")
    assert list(values.header) == ["β", *results.evidence]
    assert "Relative to the first power: integral of log L." in values.caption
    gaps = table_of(content, "Minus that by “exact”")
    assert list(gaps.header[1:]) == [name for name in results.evidence if name != "exact"]
    assert gaps.rows[0][-1] == "0"  # the integral begins there
    assert len(table_of(content, "How flow, reweighted, and reference agree").rows) == 4
    component = table_of(content, "Means and standard deviations at β = 0.7")
    assert component.folded
    assert [row[0] for row in component.rows] == list(results.labels)
    assert len(table_of(content, "Averages over observations").rows) == 4
    assert len(table_of(content, "Log evidence minus the exact one").rows) == 4
    coverage = table_of(content, "flow, raw: share of truths")
    assert coverage.header[1:] == ["50 %", "80 %", "90 %"]
    assert [row[0] for row in content.ledger.rows] == ["training", "evaluation", "all"]
    assert content.ledger.rows[-1][1:] == ["1,880,000", "355"]


@pytest.mark.usefixtures("unseen")
def test_the_verdict_names_the_worst():
    story = posterior_stories.story()
    results = story.results
    points = list(results.points)
    points[0] = replace(points[0], ess_reverse=Estimate(0.012, 0.003), khat=0.9)
    mean = points[1].reference.mean.copy()
    mean[1] += 50.0
    points[1] = replace(
        points[1],
        reference=replace(points[1].reference, mean=mean),
        c2st=(Estimate(0.9, 0.01), 0.0),
    )
    values = results.evidence["mixture of flows"].values.copy()
    values[3] += 5.0
    evidence = {
        **results.evidence,
        "mixture of flows": replace(results.evidence["mixture of flows"], values=values),
    }
    changed = replace(results, points=tuple(points), evidence=evidence, warnings=("Beware!",))
    content = compose(replace(story, results=changed))
    said = content.verdict
    assert "between 1.20 ± 0.30 % (β = 0.4) and" in said
    assert "Do not trust the flow at β = 0.4: k-hat" in said
    assert "(mean of theta[1] at β = 0.7)" in said
    assert "A classifier tells flow from reference" in said
    assert "“mixture of flows” at β = 2.1" in said
    assert content.warnings == ("Beware!",)
    trust = [row[-1] for row in table_of(content, "Weights at each power.").rows]
    assert trust == ["no", "yes", "yes", "yes"]


@pytest.mark.usefixtures("unseen")
def test_the_verdict_says_what_is_not_known():
    said = compose(posterior_stories.story(without=BARE)).verdict
    assert "there are no draws that could show what the flow misses" in said
    assert "Nothing independent was there to compare" in said
    for word in ("classifier", "Ranks", "observations", "proposal", "exact"):
        assert word not in said


@pytest.mark.usefixtures("unseen")
def test_calibration_is_judged():
    story = posterior_stories.story()
    results = story.results
    rng = np.random.default_rng(4)
    bad = posterior_stories.calibration(results.labels, rng, bias=0.5)
    said = compose(replace(story, results=replace(results, calibration=bad))).verdict
    assert "flow, raw, not uniform (p = " in said
    assert "flow, reweighted, consistent with uniform ones (p = " in said


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize(
    ("label", "tau", "words"),
    [
        ("tau", Estimate(0.75, 0.03), "autocorrelation time of at most 0.750 ± 0.030 steps"),
        ("tau", Estimate(np.inf, np.nan), "tau moves too slowly"),
        ("", Estimate(0.0, 0.0), "is accepted in 80.0 % of steps."),
    ],
)
def test_chains_are_told(label, tau, words):
    story = posterior_stories.story()
    chains = replace(story.results.chains, tau=tau, label=label)
    content = compose(replace(story, results=replace(story.results, chains=chains)))
    assert words in content.verdict
    assert table_of(content, "Chains with the flow").rows[0][1] == "8 x 200"


@pytest.mark.usefixtures("unseen")
def test_references_at_some_powers_alone_are_enough():
    story = posterior_stories.story(n=2)
    points = list(story.results.points)
    points[0] = replace(points[0], reference=None, ess_forward=None, c2st=None)
    points[2] = replace(points[2], c2st=None)
    content = compose(replace(story, results=replace(story.results, points=tuple(points))))
    rows = table_of(content, "How flow, reweighted, and reference agree").rows
    assert [row[0] for row in rows] == ["0.7", "1", "2.1"]
    assert rows[1][-2:] == ["-", "-"]
    assert table_of(content, "Weights at each power.").rows[0][2] == "-"


@pytest.mark.usefixtures("unseen")
def test_weights_of_a_few_samples_and_values_without_weight_are_drawn():
    story = posterior_stories.story(n=2)
    points = list(story.results.points)
    samples = points[2].samples
    theta, log_w = samples.theta.copy(), np.full(len(samples.theta), -np.inf)
    theta[5:] = np.inf
    log_w[:2] = 0.0
    points[2] = replace(points[2], samples=replace(samples, theta=theta, log_w=log_w))
    assert compose(replace(story, results=replace(story.results, points=tuple(points))))


@pytest.mark.usefixtures("unseen")
def test_nothing_logged_is_no_section():
    story = replace(posterior_stories.story(without=BARE), history=[])
    assert [s.title for s in compose(story).sections] == [POSTERIOR, WEIGHTS, EVIDENCE]


def test_limits_hold_nearly_all_and_a_part_of_heavy_tails():
    story = posterior_stories.story(n=2, without=BARE)
    point = story.results.points[2]
    rng = np.random.default_rng(5)
    theta = np.column_stack([rng.normal(size=20_000), rng.standard_cauchy(size=20_000)])
    samples = replace(point.samples, theta=theta, log_w=np.zeros(20_000))
    normal, cauchy = pictures._limits(replace(point, samples=samples), 2)
    np.testing.assert_allclose(normal, [-3.2, 3.2], atol=0.25)
    np.testing.assert_allclose(cauchy, [-14.6, 14.6], atol=1.5)
