"""A posterior whose likelihood has a power: p(theta | y, beta) ~ L(y | theta)^beta prior(theta)."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from systems.checks import check_event
from systems.posteriors.parameters import Parameter, ParameterSpace, Values

LogLikelihood = Callable[[Values], Tensor] | Callable[[Values, Tensor], Tensor]


class Posterior:
    """Energy -beta log L(y | theta) - log prior(theta) - log|d theta / dx| over free numbers x.

    x are the unconstrained numbers of the parameters theta, one after another; the Jacobian of the
    map to theta belongs to the prior and has no power. Where x is so large that a parameter
    overflows or is rounded onto the edge of its support, the energy is +inf.

    The functions always get float64, whatever the dtype of x; the energy has that of x.

    The first control is beta; where `observed` names the components of y they are controls too, and
    one flow can answer for every observation. At beta = 0 this is the prior, at beta = 1 the
    posterior, and Z(beta = 1) the evidence where the prior is normalised.

    Args:
        log_likelihood: Log-likelihood (B,) of parameters by name, each (B, *shape); of these and
            of y (B, M) where `observed` is given. -inf is allowed.
        log_prior: Normalised log-prior (B,) of the parameters on their supports, with respect to
            theta. -inf is allowed.
        parameters: Names, shapes and supports.
        observed: Names of the components of y, if it is a control.
        sample_prior: Draws parameters by name from the prior: (n, generator) -> values.
        simulate: Draws data given parameters: (values, generator) -> (B, M).

    Raises:
        ValueError: There is no parameter, or a name twice.

    Example:
        >>> import torch
        >>> from systems.posteriors import Parameter, Positive
        >>> target = Posterior(  # four counts, of a Poisson process of unknown rate
        ...     lambda v: 10 * v["rate"].log() - 4 * v["rate"],
        ...     lambda v: -v["rate"],
        ...     [Parameter("rate", support=Positive())],
        ... )
        >>> target.energy(torch.zeros(1, 1), 1.0)
        tensor([5.])
    """

    def __init__(  # noqa: PLR0913
        self,
        log_likelihood: LogLikelihood,
        log_prior: Callable[[Values], Tensor],
        parameters: Sequence[Parameter],
        *,
        observed: Sequence[str] = (),
        sample_prior: Callable[[int, Generator], Values] | None = None,
        simulate: Callable[[Values, Generator], Tensor] | None = None,
    ) -> None:
        self.space = ParameterSpace(parameters)
        self.event_shape = (self.space.n_free,)
        self.observed = tuple(observed)
        self.control_names = ("beta", *self.observed)
        if len(set(self.control_names)) != len(self.control_names):
            raise ValueError(f"observed: expected distinct names besides beta, got {self.observed}")
        self._log_likelihood, self._log_prior = log_likelihood, log_prior
        self._sample_prior, self._simulate = sample_prior, simulate

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log L of free numbers x (B, D) and, where it is a control, of y (B, M) -> (B,)."""
        values, _, inside = self._placed(x)
        wide = None if y is None else y.double()
        return torch.where(inside, self._likelihood_of(values, wide), -torch.inf).to(x.dtype)

    def log_prior(self, x: Tensor) -> Tensor:
        """Log-density of the prior in the free numbers x, Jacobian included: (B, D) -> (B,)."""
        values, logdet, inside = self._placed(x)
        return torch.where(inside, self._prior_of(values) + logdet, -torch.inf).to(x.dtype)

    def _placed(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Values by name, log|det|, and whether they are inside their supports, (B,).

        Free numbers so large that a value overflows or is rounded onto an edge are impossible; the
        functions of the user see the values of x = 0 in their place.
        """
        x = x.double()
        values, logdet = self.space.constrain(x)
        inside = self.space.holds(values)
        if not bool(inside.all()):
            values, logdet = self.space.constrain(torch.where(inside[:, None], x, 0.0))
        return values, logdet, inside

    def _likelihood_of(self, values: Values, y: Tensor | None) -> Tensor:
        given = (values,) if y is None or not self.observed else (values, y)
        return _checked("log_likelihood", self._log_likelihood(*given), values)

    def _prior_of(self, values: Values) -> Tensor:
        return _checked("log_prior", self._log_prior(values), values)

    def energy(self, x: Tensor, c: Tensor | float) -> Tensor:
        """Energy: free numbers (B, D), controls (B, C) -> (B,); +inf where L or the prior is 0.

        Args:
            x: Free numbers, shape (B, D).
            c: beta and y, (B, 1 + M); a number or (B,) where beta is the only control.

        Raises:
            ValueError: A shape is wrong, beta is negative, or a function of the user returned
                something else than finite numbers and -inf.
        """
        beta, y = self._controls(x, c)
        return self._energy(x, beta, y)[0]

    def denergy_dc(self, x: Tensor, c: Tensor | float) -> Tensor:
        """Derivative in beta, -log L, and in each y, (B, C); +inf in beta where L is 0."""
        return self.energy_and_denergy_dc(x, c)[1]

    def energy_and_first_slope(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Energy (B,) and its derivative in beta alone (B,): nothing is differentiated."""
        energy, log_likelihood = self._energy(x, *self._controls(x, c))
        return energy, -log_likelihood

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Energy (B,) and its derivatives (B, C) from one evaluation of the likelihood."""
        beta, y = self._controls(x, c)
        if not self.observed:
            energy, log_likelihood = self._energy(x, beta, y)
            return energy, -log_likelihood[:, None]
        with torch.enable_grad():
            leaf = y if y.requires_grad else y.detach().requires_grad_()
            energy, log_likelihood = self._energy(x, beta, leaf)
            slopes = self._slopes_in_y(log_likelihood, leaf)
        slopes = torch.where((energy != torch.inf)[:, None], -beta[:, None] * slopes, 0.0)
        if not (torch.is_grad_enabled() and (x.requires_grad or beta.requires_grad)):
            energy, log_likelihood = energy.detach(), log_likelihood.detach()
        return energy, torch.cat([-log_likelihood[:, None], slopes], 1)

    @staticmethod
    def _slopes_in_y(log_likelihood: Tensor, y: Tensor) -> Tensor:
        """Derivative of log L in y, (B, M), detached; a likelihood that ignores y has none."""
        if not log_likelihood.requires_grad:
            return torch.zeros_like(y)
        allowed = log_likelihood.isfinite()
        total = torch.where(allowed, log_likelihood, 0.0).sum()
        (slopes,) = torch.autograd.grad(total, y, retain_graph=True, allow_unused=True)
        return torch.zeros_like(y) if slopes is None else slopes

    def _energy(self, x: Tensor, beta: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        values, logdet, inside = self._placed(x)
        beta = beta.double()
        log_likelihood = self._likelihood_of(values, y.double())
        log_prior = self._prior_of(values)
        log_likelihood = torch.where(inside, log_likelihood, -torch.inf)
        possible = inside & ((log_likelihood != -torch.inf) | (beta == 0))
        finite = torch.where(log_likelihood == -torch.inf, 0.0, log_likelihood)
        energy = -beta * finite - log_prior - logdet
        energy = torch.where(possible, energy, torch.inf)
        return energy.to(x.dtype), log_likelihood.to(x.dtype)

    def _controls(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Power (B,) and y (B, M)."""
        check_event("x", x, self.event_shape)
        c = torch.as_tensor(c, dtype=x.dtype, device=x.device)
        if not self.observed and c.dim() < 2:
            c = c.expand(len(x))[:, None] if c.dim() == 0 else c[:, None]
        if tuple(c.shape) != (len(x), len(self.control_names)):
            raise ValueError(
                f"c: expected shape ({len(x)}, {len(self.control_names)}) for "
                f"({', '.join(self.control_names)}), got {tuple(c.shape)}"
            )
        beta = c[:, 0]
        bad = ~(beta.isfinite() & (beta >= 0))
        if bool(bad.any()):
            raise ValueError(
                f"beta: expected finite numbers of at least 0, got {beta[bad][0].item()}"
            )
        return beta, c[:, 1:]

    @property
    def can_sample_prior(self) -> bool:
        """Whether it was made with a sampler of its prior."""
        return self._sample_prior is not None

    @property
    def can_simulate(self) -> bool:
        """Whether it was made with a simulator of data."""
        return self._simulate is not None

    def sample_prior(self, n: int, *, generator: Generator) -> Tensor:
        """Draw n free numbers from the prior, float64 (n, D).

        Raises:
            ValueError: The posterior was made without `sample_prior`, or that draws something
                else.
        """
        if self._sample_prior is None:
            raise ValueError("sample_prior: this posterior was made without a sampler of its prior")
        x = self.space.unconstrain(self._sample_prior(n, generator))
        if len(x) != n:
            raise ValueError(f"sample_prior: expected {n} draws, got {len(x)}")
        return x.double()

    def simulate(self, x: Tensor, *, generator: Generator) -> Tensor:
        """Draw data given free numbers x (B, D): (B, M); the predictive distribution of x's.

        Raises:
            ValueError: The posterior was made without `simulate`, or that draws something else.
        """
        if self._simulate is None:
            raise ValueError("simulate: this posterior was made without a simulator")
        y = self._simulate(self.space.constrain(x)[0], generator)
        if y.dim() != 2 or len(y) != len(x) or (self.observed and y.shape[1] != len(self.observed)):
            raise ValueError(
                f"simulate: expected shape ({len(x)}, {len(self.observed) or 'M'}), got "
                f"{tuple(y.shape)}"
            )
        return y

    def observe(self, y: Sequence[float]) -> "Posterior":
        """The posterior of one observation y, (M,), whose only control is beta.

        Raises:
            ValueError: y is no control here, or has another length.
        """
        if not self.observed or len(y) != len(self.observed):
            raise ValueError(f"y: expected {len(self.observed)} numbers, got {len(y)}")
        at = torch.tensor(list(y), dtype=torch.float64)

        def log_likelihood(values: Values) -> Tensor:
            first = next(iter(values.values()))
            return self._likelihood_of(values, at.to(first).expand(len(first), -1))

        return Posterior(
            log_likelihood, self._log_prior, self.space.parameters,
            sample_prior=self._sample_prior, simulate=self._simulate,
        )  # fmt: skip


def _checked(name: str, found: Tensor, values: Values) -> Tensor:
    """Require (B,) numbers that are finite or -inf."""
    n_rows = len(next(iter(values.values())))
    if not isinstance(found, Tensor) or tuple(found.shape) != (n_rows,):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"{name}: expected a tensor of shape ({n_rows},), got {shape}")
    bad = found.isnan() | (found == torch.inf)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        at = ", ".join(f"{k} = {v[row].detach().tolist()}" for k, v in values.items())
        raise ValueError(
            f"{name}: expected finite numbers or -inf, got {int(bad.sum())} others among {n_rows}, "
            f"{found[row].item()} at {at}"
        )
    return found
