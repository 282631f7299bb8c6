"""A run is the same steps as by hand, all of them kept."""

import pytest
import torch

from boltzgen.kernels import HMC, run_chain
from systems.toys import DoubleWell2D
from tests.boltzgen.kernels.exact import started


def test_a_run_keeps_every_step(generator):
    target = DoubleWell2D()
    x, c = started(target, [0.5, 1.0], generator, n=6)
    kernel = HMC(target, step_size=0.5, n_leapfrog=3)
    state = start = kernel.init(x, c)
    run = run_chain(kernel, start, c, 5, generator=torch.Generator().manual_seed(1))
    stream, acceptance = torch.Generator().manual_seed(1), []
    for step in range(5):
        state, info = kernel.step(state, c, generator=stream)
        acceptance.append(info.acceptance)
        assert torch.equal(run.xs[step], state.x)
    torch.testing.assert_close(run.acceptance, torch.stack(acceptance).mean(0))
    assert torch.equal(start.x, x)


def test_no_steps(generator):
    target = DoubleWell2D()
    x, c = started(target, [1.0], generator, n=2)
    kernel = HMC(target, step_size=0.5, n_leapfrog=3)
    with pytest.raises(ValueError, match="n_steps: expected an integer of at least 1"):
        run_chain(kernel, kernel.init(x, c), c, 0, generator=generator)
