"""Pictures of a posterior draw what they are given, weighted, in its place and with labels."""

import numpy as np
import pytest
from scipy import stats

from boltzgen import plots
from boltzgen.plots import posterior
from tests.boltzgen.plots.pictures import assert_draws

RNG = np.random.default_rng(0)
N = 4000
NORMAL = RNG.normal(size=(N, 3))
WIDE = 1.3 * RNG.normal(size=(N, 3))
WEIGHTS = np.exp((-0.5 * WIDE**2 * (1 - 1 / 1.69)).sum(1))
WEIGHTS /= WEIGHTS.sum()
LIMITS = np.array([[-4.0, 4.0]] * 3)
BETAS = np.array([0.4, 1.0, 2.1])

PICTURES = {
    "marginal": (
        lambda ax: plots.draw_marginal(
            WIDE[:, 0], ax, label="mu", limits=(-4.0, 4.0), weights=WEIGHTS, reference=NORMAL[:, 0]
        ),
        ("mu", "density"),
    ),
    "joint": (
        lambda ax: plots.draw_joint(
            WIDE[:, :2], ax, labels=("mu", "tau"), limits=LIMITS[:2], weights=WEIGHTS,
            reference=NORMAL[:, :2],
        ),
        ("mu", "tau"),
    ),
    "nothing inside": (
        lambda ax: plots.draw_joint(
            NORMAL[:, :2], ax, labels=("mu", "tau"), limits=LIMITS[:2] + 100.0,
            reference=NORMAL[:5, :2],
        ),
        ("mu", "tau"),
    ),
    "one point": (
        lambda ax: plots.draw_joint(np.zeros((1, 2)), ax, labels=("a", "b"), limits=LIMITS[:2]),
        ("a", "b"),
    ),
    "deviations": (
        lambda ax: plots.draw_deviations(
            np.array([[0.1, np.inf], [-3.0, np.nan]]), ax, powers=["0.4", "1"],
            labels=["a", "b"], power="power",
        ),
        ("power", ""),
    ),
    "no deviations": (
        lambda ax: plots.draw_deviations(
            np.full((9, 40), np.nan), ax, powers=list("abcdefghi"), labels=["x"] * 40, power="power"
        ),
        ("power", ""),
    ),
    "band": (
        lambda ax: plots.draw_band(
            BETAS, np.array([[0.1], [0.5], [0.9]]) * np.ones(3), ax, label="ESS / N",
            control="power", lines={"lowest": 0.01 * BETAS},
        ),
        ("power", "ESS / N"),
    ),
    "band at one power": (
        lambda ax: plots.draw_band(
            BETAS[:1], np.array([[0.1], [0.5], [0.9]]), ax, label="ESS / N", control="power",
            lines={},
        ),
        ("power", "ESS / N"),
    ),
    "traces": (
        lambda ax: plots.draw_traces(NORMAL[:300].T.reshape(3, 300), ax, label="mu"),
        ("step", "mu"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_draws_into_the_axes_given(name):
    assert_draws(*PICTURES[name])


@pytest.fixture
def ax():
    return plots.new_figure().axes[0]


def stairs_of(ax):
    return {patch.get_label(): patch.get_data() for patch in ax.patches}


def test_a_marginal_has_its_weighted_mass_and_that_outside_counts(ax):
    weights = np.where(NORMAL[:, 0] > 0, 3.0, 1.0)
    plots.draw_marginal(
        NORMAL[:, 0], ax, label="mu", limits=(-1.0, 1.0), weights=weights, reference=NORMAL[:, 1]
    )
    drawn = stairs_of(ax)
    assert list(drawn) == ["flow, reweighted", "flow, raw", "reference"]
    inside = np.abs(NORMAL[:, 0]) < 1
    for name, expected in {
        "flow, reweighted": weights[inside].sum() / weights.sum(),
        "flow, raw": inside.mean(),
        "reference": (np.abs(NORMAL[:, 1]) < 1).mean(),
    }.items():
        values, edges, _ = drawn[name]
        assert values @ np.diff(edges) == pytest.approx(expected), name
    values, edges, _ = drawn["flow, reweighted"]
    upper = edges[:-1] > -1e-9
    assert values[upper].sum() == pytest.approx(3 * values[~upper].sum(), rel=0.15)


def test_without_weights_there_is_one_histogram(ax):
    plots.draw_marginal(NORMAL[:, 0], ax, label="mu", limits=(-4.0, 4.0))
    assert list(stairs_of(ax)) == ["flow"]


def test_regions_hold_the_mass_that_they_are_named_for():
    """Of a normal distribution they are discs of radius sqrt(-2 log(1 - share))."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(200_000, 2))
    x, y, density = posterior._blurred(points, LIMITS[:2], None, 65)
    low, high = posterior._levels(density)
    radius = np.hypot(*np.meshgrid(x, y, indexing="ij"))
    for level, share in ((high, 0.5), (low, 0.9)):
        expected = np.sqrt(stats.chi2.ppf(share, 2))
        area = (density >= level).sum() * (x[1] - x[0]) * (y[1] - y[0])
        assert np.sqrt(area / np.pi) == pytest.approx(expected, rel=0.03)
        assert radius[density >= level].max() < 1.25 * expected


def test_cells_are_finer_where_the_mass_is_in_few_of_them():
    narrow = NORMAL[:, :2] * [1.0, 0.01]
    wide = posterior._n_cells(NORMAL[:, :2], LIMITS[:2], None, float(N))
    assert posterior._n_cells(narrow, LIMITS[:2], None, float(N)) > wide
    assert posterior._n_cells(NORMAL[:, :2], LIMITS[:2], None, 3.0) == 20


def test_the_first_component_is_horizontal(ax):
    points = np.column_stack([2.0 + 0.1 * NORMAL[:, 0], -1.0 + 0.1 * NORMAL[:, 1]])
    plots.draw_joint(points, ax, labels=("a", "b"), limits=LIMITS[:2])
    (filled,) = ax.collections
    borders = np.concatenate([path.vertices for path in filled.get_paths()])
    np.testing.assert_allclose(borders.mean(0), [2.0, -1.0], atol=0.15)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pairs_have_labels_at_the_left_and_at_the_bottom(n):
    labels = ("a", "b", "c")[:n]
    with plots.style():
        figure = plots.new_pair_figure(n, width=5.0)
        plots.draw_pairs(
            WIDE[:, :n], figure, labels=labels, limits=LIMITS[:n], weights=WEIGHTS,
            reference=NORMAL[:, :n],
        )  # fmt: skip
        assert plots.to_png(figure, dpi=40).startswith(b"\x89PNG")
    axes = np.array(figure.axes).reshape(n, n)
    assert [ax.get_xlabel() for ax in axes[-1]] == list(labels)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["density", *labels[1:]]
    assert all(ax.get_xlabel() == "" for ax in axes[:-1].ravel())
    assert [ax.axison for ax in axes[np.triu_indices(n, 1)]] == [False] * (n * (n - 1) // 2)
    assert all(len(stairs_of(axes[i, i])) == 3 for i in range(n))


def test_deviations_have_a_row_for_each_component(ax):
    z = np.array([[0.5, -6.0, np.nan], [1.0, 30.0, 0.0]])
    plots.draw_deviations(z, ax, powers=["0.4", "1"], labels=["a", "b", "c"], power="power")
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array()[1], [-6.0, 10.0])
    assert image.get_clim() == (-10.0, 10.0)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written[(1, 1)] == "+30.0"
    assert (0, 2) not in written


def test_many_components_are_named_in_part(ax):
    labels = [f"x{i}" for i in range(70)]
    plots.draw_deviations(np.zeros((9, 70)), ax, powers=["1"] * 9, labels=labels, power="power")
    assert [text.get_text() for text in ax.get_yticklabels()][:2] == ["x0", "x3"]
    assert not ax.texts
