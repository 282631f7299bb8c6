"""Fixtures of the tests of charts."""

import pytest

from tests.systems.charts.molecules import OTHERS, PEPTIDES, fitted


@pytest.fixture(scope="session", params=PEPTIDES + OTHERS)
def case(request):
    """Every molecule in turn, with data at 600 K and its chart."""
    return fitted(request.param)


@pytest.fixture(scope="session")
def alanine():
    """Alanine dipeptide with data at 600 K and its chart."""
    return fitted("ala")
