import pytest

from tests.contracts import contract
from tests.contracts.cases import TARGETS

pytestmark = pytest.mark.parametrize("case", TARGETS.values(), ids=TARGETS.keys())


def test_shape_of_the_interface(case):
    contract.check_target_shape(case)


def test_batch_equals_singles_and_joint_evaluation(case):
    contract.check_target_batch(case)


def test_derivatives_in_the_controls_and_forces(case):
    contract.check_target_derivatives(case)


def test_extreme_configurations_are_never_nan(case):
    contract.check_target_extremes(case)
