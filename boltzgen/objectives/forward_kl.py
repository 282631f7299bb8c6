"""Forward Kullback-Leibler divergence: maximum likelihood on data at their own controls."""

from torch import Generator, nn

from boltzgen.base import Density
from boltzgen.protocols import Batch, LossTerms


class ForwardKL(nn.Module):
    """Mean of -log q(x | c) over the batch.

    Minimises KL(p || q) up to the entropy of the data. It needs samples of p at the controls of
    the batch and no energies. It covers every mode that the data hold; it overfits when the data
    are few, and says nothing about other controls.
    """

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Negative log-likelihood of the batch, in nats."""
        loss = -density.log_prob(batch.x, batch.c).mean()
        return LossTerms(loss, {"nll": loss.detach()})
