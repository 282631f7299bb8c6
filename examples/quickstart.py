"""An energy of your own: from samples at T = 1 to free energies at every T between 0.4 and 1.

A flow learns a double well from samples at T = 1; TRADE carries it to lower temperatures by the
energy alone; weights make the free energies exact. Takes about 20 seconds.
"""

import math

import torch
from torch import Tensor

from boltzgen import flows, objectives, training
from boltzgen.estimators import effective_sample_size, log_evidence
from boltzgen.random import seeded, spawn
from systems.thermal import ThermalTarget


class TiltedWell(ThermalTarget):
    """U(x, y) = x^4 - 4 x^2 + x / 2 + y^2 - x y, with p(x, y | T) ~ exp(-U / T)."""

    def potential(self, x: Tensor) -> Tensor:
        """U: (B, 2) -> (B,)."""
        x, y = x.unbind(1)
        return x**4 - 4 * x**2 + x / 2 + y**2 - x * y


target = TiltedWell(event_shape=(2,))
weights, data, noise = spawn(torch.Generator().manual_seed(0), 3)
line = torch.arange(-5, 5, 0.02, dtype=torch.float64)
nodes = torch.cartesian_prod(line, line)  # a fine grid, for the data and for the exact answer
p = torch.softmax(-target.energy(nodes, 1.0), 0)
x = nodes[p.multinomial(10_000, replacement=True, generator=data)].float()
x = x + 0.02 * (torch.rand(x.shape, generator=data) - 0.5)  # anywhere in the cell of its node

no_angles, no_folds = torch.zeros(2, dtype=torch.bool), torch.ones(2)
layout = flows.VectorLayout(no_angles, no_folds, flows.LogRatio(torch.ones(1)))
with seeded(weights):
    flow = flows.coupling_flow(layout, [flows.SplineTransform()] * 4, n_hidden=32, n_blocks=1)

grid = objectives.log_spaced_grid(0.4, 1.0, 8, boundary=1.0)
look, table = objectives.CausalSampler(grid), objectives.ExpectationTable(grid, n_samples=200)
trade = objectives.ControlGradient(target, sampler=look, table=table, n_points=256)
terms = [objectives.Term("data", objectives.ForwardKL()), objectives.Term("trade", trade)]
batches = training.RandomBatches(x, torch.ones(len(x), 1), batch_size=256)
config = training.TrainConfig(n_steps=400, learning_rate=5e-3)
for _ in training.Trainer(flow, objectives.Weighted(terms), batches, config, generator=noise):
    pass  # each step hands over its metrics here

print("   T   F/kT flow    error   F/kT exact   ESS/N")
for T in (0.4, 0.5, 0.6, 0.8, 1.0):
    with torch.no_grad():
        x, log_q = flow.sample_and_log_prob(torch.full((20_000, 1), T), generator=noise)
    log_w = (-target.energy(x, T) - log_q).double().numpy()
    log_z, share = log_evidence(log_w), effective_sample_size(log_w) / len(log_w)
    log_sum = torch.logsumexp(-target.energy(nodes, T), 0).item()
    exact = log_sum + 2 * math.log(0.02)
    print(f"{T:4.1f} {-log_z.value:11.4f} {log_z.error:8.4f} {-exact:12.4f} {share:7.2f}")
