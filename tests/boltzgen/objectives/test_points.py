"""Where the log-variance looks: at the flow's samples, at those of its neighbours, at the data."""

import math

import pytest
import torch

from boltzgen.objectives import (
    ControlGrid,
    ControlPoints,
    DataPoints,
    FlowPoints,
    LogUniform,
    LogVariance,
    MissingPoints,
    Squared,
    WithContexts,
)
from boltzgen.protocols import Batch
from systems.toys import HarmonicWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, Walled, batch, z_score

VALUES = torch.linspace(1.0, 2.0, 11, dtype=DOUBLE)


class Recorder(PowerNormal):
    """A density whose samples are the controls they were asked for at."""

    def sample(self, c, *, generator):
        return c.expand(-1, 2)


def drawn(grid, generator, **options):
    """Grid points of the samples and of the controls, 0 to 10, over many draws."""
    points = FlowPoints(grid, n_controls=4000, n_samples=2, **options)
    x, c = points(Recorder(), batch(), generator=generator)
    assert x.shape == (8000, 2)
    assert c.shape == (8000, 1)
    assert torch.equal(x[::2], x[1::2])
    assert torch.equal(c[::2], c[1::2])
    return [((v[::2] - 1) * 10).round().long() for v in (x[:, 0], c[:, 0])]


def test_samples_of_the_same_control(generator):
    source, index = drawn(ControlGrid(VALUES, (10,)), generator)
    assert torch.equal(source, index)
    counts = index.bincount(minlength=11)
    assert (counts - 4000 / 11).abs().max() < 4.5 * (4000 / 11) ** 0.5


def test_samples_from_nearer_to_the_boundary(generator):
    source, index = drawn(ControlGrid(VALUES, (10,)), generator, reach=3)
    steps = source - index
    assert steps.min() == 0
    assert source.max() == 10
    counts = steps[index <= 7].bincount(minlength=4)
    assert len(counts) == 4
    expected = counts.sum() / 4
    assert (counts - expected).abs().max() < 4.5 * expected**0.5


def test_samples_go_to_the_nearer_of_two_boundaries(generator):
    source, index = drawn(ControlGrid(VALUES, (2, 9)), generator, reach=2)
    for start in range(11):
        found = set(source[index == start].tolist())
        end = 2 if start <= 5 else 9
        way = 1 if end > start else -1
        assert found == {start + way * k for k in range(min(2, abs(end - start)) + 1)}


def test_the_gradient_on_data_is_known(generator):
    """q = N(m, 1) and data of p = N(0, 1) in two dimensions: log w = -m (x1 + x2) + constant, so
    that the squared penalty has the derivatives 2 m in m and -4 m^2 in the log-scale b."""
    well, m = HarmonicWell(n_dims=2), 0.4
    objective = LogVariance(well, DataPoints(512), penalty=Squared())
    density, draws = PowerNormal(m=m), []
    for step in range(400):
        x = well.sample_exact(1.0, 512, generator=generator)
        data = Batch(x, torch.ones(512, 1, dtype=DOUBLE))
        loss = objective(density, data, step=step, generator=generator).loss
        draws.append(torch.stack(torch.autograd.grad(loss, (density.m, density.b))))
    found = torch.stack(draws)
    for k, exact in enumerate((2 * m, -4 * m**2)):
        assert abs(z_score(found[:, k], exact)) < 4
        assert found[:, k].std() / 20 < 0.05 * abs(exact)


def test_each_control_of_the_data_has_its_own_constant(generator):
    """log Z differs between controls, and is no deviation; the order of rows does not matter."""
    well = HarmonicWell(n_dims=2)
    c = torch.tensor([[0.5], [2.0]], dtype=DOUBLE).repeat(50, 1)
    x = torch.randn(100, 2, dtype=DOUBLE, generator=generator)
    objective = LogVariance(well, DataPoints(100))
    assert objective(PowerNormal(), Batch(x, c), step=0, generator=generator).loss < 1e-25
    both = objective(PowerNormal(m=0.4), Batch(x, c), step=0, generator=generator).loss
    alone = [
        objective(PowerNormal(m=0.4), Batch(x[k::2], c[k::2]), step=0, generator=generator).loss
        for k in range(2)
    ]
    assert both.item() == pytest.approx((sum(alone) / 2).item(), rel=1e-14)


def test_points_that_share_no_control_are_refused(generator):
    c = torch.tensor([[0.5], [1.0], [2.0]], dtype=DOUBLE)
    data = Batch(torch.zeros(3, 2, dtype=DOUBLE), c)
    with pytest.raises(ValueError, match="at least two points to a control, got 3 points"):
        LogVariance(HarmonicWell(), DataPoints(3))(PowerNormal(), data, step=0, generator=generator)


class ThreePoints(PowerNormal):
    """A density whose samples are three points in turn, of weights w in the ratio 1 : 2 : 4."""

    points = -math.log(2) * torch.tensor([[0, 0], [1, 0], [2, 0]], dtype=DOUBLE)

    def sample(self, c, *, generator):
        return self.points.repeat(len(c) // 3, 1)


def test_missing_points_are_drawn_by_weight_without_replacement(generator):
    """log w = -m x1 + constant with m = 1. Of two chosen out of three, the one left out is the
    first with probability 2/7 4/5 + 4/7 2/3 = 64/105, and so on."""
    n = 6000
    candidates = FlowPoints(ControlGrid(VALUES, (10,)), n_controls=n, n_samples=3)
    candidates.grid.values.fill_(1.0)
    points = MissingPoints(candidates, HarmonicWell(n_dims=2), n_samples=2)
    x, c = points(ThreePoints(m=1.0), batch(), generator=generator)
    assert x.shape == (2 * n, 2)
    assert c.shape == (2 * n, 1)
    number = (-x[:, 0] / math.log(2)).round().long()
    left_out = (3 - number.view(n, 2).sum(1)).bincount(minlength=3)
    for count, share in zip(left_out.tolist(), (64, 30, 11), strict=True):
        exact = share / 105
        assert abs(count - n * exact) < 4.5 * (n * exact * (1 - exact)) ** 0.5


def test_missing_points_are_of_their_control(generator):
    """Candidates of one control are not mixed with those of another; forbidden ones come last."""
    candidates = FlowPoints(ControlGrid(VALUES, (10,)), n_controls=50, n_samples=16)
    points = MissingPoints(candidates, Walled(), n_samples=2)
    x, c = points(Recorder(), batch(), generator=generator)
    assert torch.equal(x, c.expand(-1, 2))
    assert torch.equal(c.view(50, 2), c.view(50, 2)[:, :1].expand(-1, 2))
    wide = PowerNormal(b=1.0)
    x, _ = points(wide, batch(), generator=generator)
    plain, _ = candidates(wide, batch(), generator=generator)
    assert (plain[:, 0] > 1).double().mean() > 0.25
    assert not (x[:, 0] > 1).any()


def test_chance_decides_among_forbidden_points(generator):
    """Two of eight are allowed and always kept; the other six are kept equally often."""
    n = 3000
    points = torch.tensor([[k, 0.0] for k in (-0.2, 3, 4, 5, 0.1, 6, 7, 8)], dtype=DOUBLE)

    class Eight(PowerNormal):
        def sample(self, c, *, generator):
            return points.repeat(len(c) // 8, 1)

    candidates = FlowPoints(ControlGrid(VALUES, (10,)), n_controls=n, n_samples=8)
    kept, _ = MissingPoints(candidates, Walled(), n_samples=4)(
        Eight(), batch(), generator=generator
    )
    counts = [int((kept[:, 0] == point).sum()) for point in points[:, 0]]
    assert counts[0] == counts[4] == n
    others = torch.tensor([counts[k] for k in (1, 2, 3, 5, 6, 7)])
    assert (others - n / 3).abs().max() < 4.5 * (n * 2 / 9) ** 0.5


def test_data_points_are_the_head_of_the_batch(generator):
    data = Batch(torch.arange(6.0).reshape(3, 2), torch.ones(3, 1))
    for n, expected in ((2, 2), (3, 3), (5, 3)):
        x, c = DataPoints(n)(PowerNormal(), data, generator=generator)
        assert torch.equal(x, data.x[:expected])
        assert torch.equal(c, data.c[:expected])


def test_bad_arguments():
    grid = ControlGrid(VALUES, (10,))
    for name, options in {
        "n_controls": {"n_controls": 0, "n_samples": 2},
        "n_samples": {"n_controls": 1, "n_samples": 1},
        "reach": {"n_controls": 1, "n_samples": 2, "reach": -1},
    }.items():
        with pytest.raises(ValueError, match=name):
            FlowPoints(grid, **options)
    with pytest.raises(ValueError, match="n_points"):
        DataPoints(1)
    candidates = FlowPoints(grid, n_controls=1, n_samples=4)
    for n_samples, message in ((1, "at least 2"), (5, "at most the 4 candidates, got 5")):
        with pytest.raises(ValueError, match=message):
            MissingPoints(candidates, HarmonicWell(), n_samples=n_samples)


class Witness(PowerNormal):
    """A density of two controls whose samples are the controls they were asked for at."""

    def __init__(self):
        super().__init__()
        self.n_controls = 2

    def sample(self, c, *, generator):
        return c


def test_control_points_go_together_and_towards_the_boundary(generator):
    rows = torch.tensor([[-1.0], [3.0]], dtype=DOUBLE)
    controls = WithContexts(LogUniform(0.0, 4.0, offset=0.5), rows)
    points = ControlPoints(
        controls, n_controls=3000, n_samples=2, boundary=2.0, reach=0.5, offset=0.5
    )
    x, c = points(Witness(), batch(), generator=generator)
    assert torch.equal(x[::2], x[1::2])
    assert torch.equal(c[::2], c[1::2])
    assert torch.equal(x[:, 1], c[:, 1])
    assert set(c[:, 1].tolist()) == {-1.0, 3.0}
    source, level = (x[::2, 0] + 0.5).log(), (c[::2, 0] + 0.5).log()
    share = (source - level) / (math.log(2.5) - level)
    assert share.min() >= -1e-9
    assert share.max() <= 0.5 + 1e-9
    assert abs(z_score(share[(level - math.log(2.5)).abs() > 0.01], 0.25)) < 4
    assert abs(z_score(level, (math.log(0.5) + math.log(4.5)) / 2)) < 4


def test_control_points_stay_where_there_is_no_reach(generator):
    points = ControlPoints(LogUniform(0.5, 2.0), n_controls=5, n_samples=3)
    density = Recorder()
    x, c = points(density, batch(), generator=generator)
    assert torch.equal(x, c.expand(-1, 2))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"n_controls": 0, "n_samples": 2}, "n_controls"),
        ({"n_controls": 1, "n_samples": 1}, "n_samples"),
        ({"n_controls": 1, "n_samples": 2, "reach": 0.5}, "reach, boundary"),
        ({"n_controls": 1, "n_samples": 2, "reach": 1.5, "boundary": 1.0}, "reach, boundary"),
    ],
)
def test_bad_control_points(options, word):
    with pytest.raises(ValueError, match=word):
        ControlPoints(LogUniform(0.5, 2.0), **options)


@pytest.mark.parametrize("rows", [torch.zeros(3), torch.zeros(0, 1), torch.full((2, 1), math.nan)])
def test_bad_contexts(rows):
    with pytest.raises(ValueError, match="contexts: expected"):
        WithContexts(LogUniform(0.5, 2.0), rows)
