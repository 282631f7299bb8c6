import numba
import pytest

from systems.lattices.monte_carlo import compiled as module


def double(x):
    return 2 * x


def test_where_no_folder_can_be_written_it_compiles_without_one(monkeypatch):
    asked = []

    def refusing(*, cache, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(module, "njit", refusing)
    assert module.compiled(double)(21) == 42
    assert asked == [True, False]


@pytest.mark.parametrize("make", [module.compiled, module.compiled_over_chains])
def test_options_of_compiled_functions(make):
    options = make(double).targetoptions
    assert options["nogil"]
    assert options["nopython"]
    assert options.get("parallel", False) is (make is module.compiled_over_chains)
