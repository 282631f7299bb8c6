import pytest
import torch

from tests.contracts import contract
from tests.contracts.cases import BIJECTIONS

pytestmark = pytest.mark.parametrize("case", BIJECTIONS.values(), ids=BIJECTIONS.keys())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_round_trip(case, dtype):
    contract.check_round_trip(case, dtype)


def test_log_determinant_is_that_of_the_jacobian(case):
    contract.check_log_determinant(case)


def test_batch_equals_singles(case):
    contract.check_batch_equals_singles(case)


def test_gradient_reaches_every_parameter(case):
    contract.check_gradients(case)


def test_wrong_shapes_raise(case):
    contract.check_shape_errors(case)
