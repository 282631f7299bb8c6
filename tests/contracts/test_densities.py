import pytest
import torch

from tests.contracts import contract
from tests.contracts.cases import DENSITIES

pytestmark = pytest.mark.parametrize("case", DENSITIES.values(), ids=DENSITIES.keys())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_samples_carry_their_log_prob(case, dtype):
    contract.check_sampling(case, dtype)


def test_batch_equals_singles(case):
    contract.check_density_batch(case)


def test_log_prob_is_differentiable_in_the_controls(case):
    contract.check_control_gradient(case)


def test_log_prob_is_normalised(case):
    contract.check_normalised(case)


def test_gradient_reaches_every_parameter(case):
    contract.check_gradients(case)


def test_wrong_shapes_raise(case):
    contract.check_shape_errors(case)
