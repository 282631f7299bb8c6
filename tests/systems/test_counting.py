"""Every configuration whose energy is asked for is booked once, under the phase."""

import torch

from systems.counting import CountedTarget
from systems.ledger import EnergyLedger
from systems.toys import HarmonicWell


def slope_of(well, x, c):
    return well.denergy_dc(x, c)[:, 0]


def test_calls_are_booked_and_answers_are_the_targets():
    ledger, well = EnergyLedger(), HarmonicWell(n_dims=2)
    target = CountedTarget(well, ledger)
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    c = torch.full((7, 1), 2.0, dtype=torch.float64)
    with ledger.phase("a"):
        assert torch.equal(target.energy(x, c), well.energy(x, c))
    with ledger.phase("b"):
        energy, slope = target.energy_and_denergy_dc(x[:3], c[:3])
        assert torch.equal(energy, well.energy(x[:3], c[:3]))
        assert torch.equal(slope, well.denergy_dc(x[:3], c[:3]))
        assert torch.equal(target.denergy_dc(x, c), well.denergy_dc(x, c))
        first = target.energy_and_first_slope(x, c)
        assert torch.equal(
            torch.stack(first), torch.stack([well.energy(x, c), slope_of(well, x, c)])
        )
    assert ledger.as_dict() == {"a": 7, "b": 17}
    assert (target.event_shape, target.control_names) == ((2,), ("temperature",))
