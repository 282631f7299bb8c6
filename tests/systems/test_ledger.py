import json

import pytest

from systems.ledger import EnergyLedger


def test_phases_nest_and_come_back():
    ledger = EnergyLedger()
    ledger.add(1)
    with ledger.phase("training"):
        ledger.add(10)
        with ledger.phase("evaluation"):
            ledger.add(100)
        ledger.add(10)
    ledger.add(1000, phase="data")
    assert ledger.as_dict() == {"other": 1, "training": 20, "evaluation": 100, "data": 1000}
    assert ledger.total == 1121
    assert ledger["training"] == 20
    assert ledger["never"] == 0


def test_an_error_inside_a_block_restores_the_phase():
    ledger = EnergyLedger()
    with pytest.raises(KeyError), ledger.phase("training"):
        raise KeyError
    ledger.add(1)
    assert ledger.as_dict() == {"other": 1}


def test_it_goes_through_json():
    ledger = EnergyLedger({"data": 5, "training": 7})
    again = EnergyLedger(json.loads(json.dumps(ledger.as_dict())))
    assert again.as_dict() == ledger.as_dict()
    again.add(1, phase="data")
    assert ledger["data"] == 5


@pytest.mark.parametrize("n", [-1, 1.5, True, None])
def test_only_whole_numbers_are_booked(n):
    with pytest.raises(ValueError, match="n: expected an integer of at least 0"):
        EnergyLedger().add(n)
