import pytest

from tests.contracts import contract
from tests.contracts.cases import OBJECTIVES


@pytest.mark.parametrize("case", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_an_objective_is_a_value_and_gives_a_loss(case):
    contract.check_objective(case)
