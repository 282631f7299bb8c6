import pytest

from systems.lattices.monte_carlo.schedule import (
    Schedule,
    make_plan,
    make_records,
    record_index,
    stored_index,
)


def test_when_records_and_configurations_are_due():
    schedule = Schedule(12, n_burn_in=3, measure_every=2, store_every=3)
    plan = make_plan(schedule)
    records = [record_index(plan, n) for n in range(1, 16)]
    assert [n for n, r in enumerate(records, 1) if r >= 0] == [5, 7, 9, 11, 13, 15]
    assert [r for r in records if r >= 0] == list(range(schedule.n_records))
    assert [stored_index(plan, r) for r in range(6)] == [-1, -1, 0, -1, -1, 1]
    assert schedule.n_stored == 2


def test_sizes_of_the_results():
    records = make_records(Schedule(10, measure_every=3), 2, 16)
    assert records.bond_sum.shape == records.spin_sum.shape == records.flipped.shape == (2, 3)
    assert records.spins.shape == (2, 0, 16)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_sweeps": 0}, "n_sweeps"),
        ({"n_sweeps": 2.0}, "n_sweeps"),
        ({"n_sweeps": 1, "n_burn_in": -1}, "n_burn_in"),
        ({"n_sweeps": 1, "measure_every": 0}, "measure_every"),
        ({"n_sweeps": 1, "store_every": True}, "store_every"),
    ],
)
def test_bad_numbers(options, name):
    with pytest.raises(ValueError, match=f"{name}: expected an integer"):
        Schedule(**options)
