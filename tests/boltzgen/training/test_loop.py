import math

import pytest
import torch

from boltzgen.objectives import ForwardKL
from boltzgen.training import RandomBatches, TrainConfig, Trainer, WeightAverage
from tests.boltzgen.objectives.families import PowerNormal


def test_the_rate_rises_linearly_and_falls_as_a_cosine():
    config = TrainConfig(n_steps=110, learning_rate=2.0, warm_up=10, final_fraction=0.1)
    rates = [config.rate(step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (k + 1) for k in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert rates[109] == pytest.approx(2 * (0.1 + 0.45 * (1 + math.cos(math.pi * 0.99))))
    assert config.rate(110) == pytest.approx(0.2)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert TrainConfig(n_steps=5, warm_up=0).rate(0) == 1e-3
    assert TrainConfig(n_steps=5, warm_up=50).rate(4) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_steps": 0},
        {"n_steps": 2.5},
        {"warm_up": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"max_gradient_norm": 0.0},
        {"average_decay": 1.0},
        {"average_decay": -0.1},
        {"final_fraction": 0.0},
        {"final_fraction": 1.1},
    ],
)
def test_bad_settings(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        TrainConfig(**({"n_steps": 5} | wrong))


def data(n=2000):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 1.5 + 2 * x, torch.ones(n, 1, dtype=torch.float64)


def make_trainer(density, batch_size=500, **settings):
    generator = torch.Generator().manual_seed(1)
    batches = RandomBatches(*data(), batch_size=batch_size)
    return Trainer(density, ForwardKL(), batches, TrainConfig(**settings), generator=generator)


def test_maximum_likelihood_finds_mean_and_width():
    """Within 4 errors of the data's own, 2 / sqrt(4000) and 1 / sqrt(8000), and the noise of the
    last steps, which is smaller."""
    density = PowerNormal()
    density.a.requires_grad_(requires_grad=False)
    records = list(make_trainer(density, n_steps=300, learning_rate=0.05))
    assert density.m.item() == pytest.approx(1.5, abs=4 * 2 / 4000**0.5)
    assert density.b.item() == pytest.approx(math.log(2), abs=4 / 8000**0.5)
    assert density.a.item() == 1
    assert [r.step for r in records] == list(range(1, 301))
    assert all(r.n_steps == 300 for r in records)
    assert records[-1].metrics["nll"] < records[0].metrics["nll"] - 0.3
    assert records[-1].metrics["loss"] == records[-1].metrics["nll"]


def test_a_step_is_adams(generator):
    """One step against Adam written by hand: with a first gradient g it moves by the rate times
    g / (|g| + 1e-8), after g was scaled to the largest norm."""
    density = PowerNormal()
    trainer = make_trainer(density, n_steps=10, learning_rate=0.1, warm_up=4,
                           max_gradient_norm=1e-9)  # fmt: skip
    same = PowerNormal()
    batch = RandomBatches(*data(), batch_size=500).draw(generator=torch.Generator().manual_seed(1))
    (-same.log_prob(*batch).mean()).backward()
    norm = torch.stack([p.grad for p in same.parameters()]).norm()
    record = next(iter(trainer))
    assert record.metrics["gradient_norm"] == pytest.approx(norm.item())
    assert record.metrics["rate"] == pytest.approx(0.025)
    for moved, start in zip(density.parameters(), same.parameters(), strict=True):
        short = start.grad * 1e-9 / (norm + 1e-6)
        expected = start - 0.025 * short / (short.abs() + 1e-8)
        assert moved.item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_average_of_the_weights():
    """min(decay, (1 + n) / (10 + n)) of the old average is kept at update n."""
    density, expected = PowerNormal(m=1.0), 1.0
    average = WeightAverage(density, 0.5)
    for n, value in enumerate([2.0, -1.0, 4.0, 0.0, 3.0, 1.0, 7.0, 5.0, 2.0, -3.0]):
        with torch.no_grad():
            density.m.fill_(value)
        average.update(density)
        keep = min(0.5, (1 + n) / (10 + n))
        expected = keep * expected + (1 - keep) * value
        assert average.weights["m"].item() == pytest.approx(expected, rel=1e-14)
    assert keep == 0.5
    with average.applied(density):
        assert density.m.item() == pytest.approx(expected, rel=1e-14)
    assert density.m.item() == -3.0
    with pytest.raises(KeyError, match="inside"), average.applied(density):
        raise KeyError("inside")
    assert density.m.item() == -3.0


def test_no_average():
    density = PowerNormal(m=1.0)
    average = WeightAverage(density, 0.0)
    average.update(density)
    assert average.weights == {}
    with average.applied(density):
        assert density.m.item() == 1.0


def test_loading_an_average():
    density = PowerNormal()
    average, other = WeightAverage(density, 0.9), WeightAverage(PowerNormal(m=5.0), 0.9)
    average.load(other.weights)
    assert average.weights["m"].item() == 5.0
    other.weights["m"].fill_(1.0)
    assert average.weights["m"].item() == 5.0
    for wrong in ({}, {"m": torch.zeros(())}, average.weights | {"m": torch.zeros(3)}):
        with pytest.raises(ValueError, match="weights: expected those of this average"):
            average.load(wrong)


def test_random_batches(generator):
    """Rows keep their controls, come from the stream alone, and are uniform (chi-square on 19
    degrees of freedom below 62, p = 2e-6)."""
    x = torch.arange(20.0)[:, None]
    source = RandomBatches(x, -x, batch_size=20_000)
    batch = source.draw(generator=generator)
    assert batch.x.shape == (20_000, 1)
    assert torch.equal(batch.c, -batch.x)
    counts = torch.bincount(batch.x[:, 0].long(), minlength=20).double()
    assert ((counts - 1000).square() / 1000).sum() < 62
    streams = [torch.Generator().manual_seed(9) for _ in range(2)]
    first, again = (source.draw(generator=g) for g in streams)
    assert torch.equal(first.x, again.x)


def test_bad_data():
    x, c = torch.zeros(4, 2), torch.ones(4, 1)
    for wrong in ((x, c[:3]), (x[:0], c[:0])):
        with pytest.raises(ValueError, match="expected as many rows"):
            RandomBatches(*wrong, batch_size=2)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="expected finite values"):
            RandomBatches(x, c * bad, batch_size=2)
        with pytest.raises(ValueError, match="expected finite values"):
            RandomBatches(x + bad, c, batch_size=2)
    with pytest.raises(ValueError, match="batch_size"):
        RandomBatches(x, c, batch_size=0)
