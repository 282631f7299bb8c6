"""A free-form flow for a double well: samples at T = 1, TRADE to T = 0.5 and 2, exact weights.

    python examples/free_form.py

Encoder and decoder are any networks; here two small dense ones. The density is the decoder's and
exact, so that weights and free energies are too; the certificate says how well they are inverse.
"""

import torch

from boltzgen.estimators import effective_sample_size, log_evidence
from boltzgen.flows import LogRatio, StandardNormal
from boltzgen.flows.free_form import FreeFormFlow, ResidualField, round_trip
from boltzgen.objectives import (
    ControlPoints,
    FreeFormControlGradient,
    FreeFormLikelihood,
    LogUniform,
    Ramp,
    Reconstruction,
    Term,
    Weighted,
)
from boltzgen.random import seeded, spawn
from boltzgen.training import RandomBatches, TrainConfig, Trainer
from systems.toys import DoubleWell2D

N_STEPS = 500


def main() -> None:
    """Train, certify, sample."""
    torch.set_num_threads(1)
    data, weights, training, drawing = spawn(torch.Generator().manual_seed(1), 4)
    well, temperature = DoubleWell2D(), LogRatio(torch.tensor([1.0]))
    x = well.sample_exact(1.0, 20_000, generator=data).float()
    with seeded(weights):
        encoder, decoder = (
            ResidualField(2, temperature, n_hidden=64, n_blocks=2) for _ in range(2)
        )
    flow = FreeFormFlow(encoder, decoder, StandardNormal((2,), 1))

    inverse = Reconstruction(50.0)
    points = ControlPoints(LogUniform(0.5, 2.0), n_controls=16, n_samples=8)
    carry = FreeFormControlGradient(well, points, inverse)
    ramp = Ramp(start=N_STEPS // 4, length=N_STEPS // 8)
    objective = Weighted(
        [Term("likelihood", FreeFormLikelihood(inverse)), Term("trade", carry, ramp=ramp)]
    )
    batches = RandomBatches(x, torch.ones(len(x), 1), batch_size=256)
    config = TrainConfig(n_steps=N_STEPS, learning_rate=3e-3)
    for _ in Trainer(flow, objective, batches, config, generator=training):
        pass

    flow.double()
    held_out = well.sample_exact(1.0, 500, generator=data)
    print(round_trip(flow, held_out, torch.ones(500, 1).double(), generator=drawing))
    print("  T     log Z  +- error    exact  ESS/N")
    for T in (0.5, 1.0, 2.0):
        c = torch.full((4000, 1), T, dtype=torch.float64)
        with torch.no_grad():
            draws, log_q = flow.sample_and_log_prob(c, generator=drawing)
        log_w = (-well.energy(draws, T) - log_q).numpy()
        found, share = log_evidence(log_w), effective_sample_size(log_w) / len(log_w)
        exact = well.log_partition(T)
        print(f"{T:4.2f} {found.value:9.4f}    {found.error:.4f} {exact:9.4f}  {share:.3f}")


if __name__ == "__main__":
    main()
