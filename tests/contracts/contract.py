"""The contracts as functions of one case; each raises AssertionError where it is broken."""

from dataclasses import is_dataclass

import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from boltzgen.base import Bijection, Density
from tests.contracts.case import BijectionCase, DensityCase, ObjectiveCase, TargetCase, stream

F64, F32 = torch.float64, torch.float32


def assert_close(found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Relative and absolute tolerance at once, with NaN never equal to anything."""
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    excess = (found - expected).abs() - tolerance * (1 + expected.abs())
    assert bool((excess <= 0).all()), f"{what}: off by up to {excess.max().item() + tolerance:.1e}"


def assert_raises_value_error(call, *arguments: Tensor) -> None:
    try:
        call(*arguments)
    except ValueError:
        return
    raise AssertionError(f"no ValueError for shapes {[tuple(a.shape) for a in arguments]}")


def check_round_trip(case: BijectionCase, dtype: torch.dtype = F64) -> None:
    """inverse(forward(x)) = x, the two log-determinants cancel, results follow the inputs."""
    bijection, g = case.build(dtype), stream()
    tolerance = case.tolerance[0 if dtype == F64 else 1]
    x, c = (value.to(dtype) for value in case.inputs(bijection, 64, g))
    kept = x.clone(), c.clone()
    z, logdet = bijection(x, c)
    back, logdet_back = bijection.inverse(z, c)
    for value, shape in ((z, x.shape), (back, x.shape), (logdet, (64,)), (logdet_back, (64,))):
        assert value.dtype == dtype, f"dtype {value.dtype}, expected {dtype}"
        assert value.shape == shape, f"shape {tuple(value.shape)}, expected {tuple(shape)}"
        assert bool(value.isfinite().all()), "not finite"
    assert torch.equal(x, kept[0]), "x was changed in place"
    assert torch.equal(c, kept[1]), "c was changed in place"
    assert_close(_difference(back, x, case), torch.zeros_like(x), tolerance, "round trip")
    assert_close(logdet + logdet_back, torch.zeros_like(logdet), tolerance, "log-determinants")


def check_log_determinant(case: BijectionCase) -> None:
    """log|det| of both directions equals that of autograd's Jacobian."""
    bijection, g = case.build(), stream()
    x, c = case.inputs(bijection, 4, g)
    z = bijection(x, c)[0].detach()
    for call, points in ((bijection.forward, x), (bijection.inverse, z)):
        expected = torch.stack([_log_determinant(call, *row) for row in _rows(points, c)])
        assert_close(call(points, c)[1], expected, case.tolerance[0] * 10, "log-determinant")


def check_batch_equals_singles(case: BijectionCase) -> None:
    """No row of a batch sees another, in either direction."""
    bijection, g = case.build(), stream()
    x, c = case.inputs(bijection, 5, g)
    for call in (bijection.forward, bijection.inverse):
        singles = [call(*row) for row in _rows(x, c)]
        for i, together in enumerate(call(x, c)):
            assert_close(together, torch.cat([s[i] for s in singles]), 1e-10, "batch")


def check_gradients(case: BijectionCase | DensityCase) -> None:
    """Every parameter receives a gradient that is finite and not everywhere zero."""
    module, g = case.build(), stream()
    if not list(module.parameters()):
        return
    if isinstance(module, Bijection):
        x, c = case.inputs(module, 64, g)
        z, logdet = module(x, c)
        weight = torch.randn(z.shape, generator=g, dtype=F64)
        ((z * weight).sum() + logdet.sum()).backward()
    else:
        c = case.inputs(module, 64, g)
        x = module.sample(c, generator=g).detach()
        module.log_prob(x, c).sum().backward()
    aside = case.aside if isinstance(case, DensityCase) else ()
    for name, parameter in module.named_parameters():
        if name.startswith(aside) and aside:
            assert parameter.grad is None, f"{name}: gradient, though the density is without it"
            continue
        assert parameter.grad is not None, f"{name}: no gradient"
        assert bool(parameter.grad.isfinite().all()), f"{name}: gradient not finite"
        assert bool((parameter.grad != 0).any()), f"{name}: gradient is zero"


def check_shape_errors(case: BijectionCase | DensityCase) -> None:
    """Wrong shapes of x, z and c are ValueErrors, not results."""
    module, g = case.build(), stream()
    shape = module.event_shape
    x, c = torch.zeros(3, *shape, dtype=F64), torch.ones(3, module.n_controls, dtype=F64)
    wrong_x = torch.zeros(3, *shape[:-1], shape[-1] + 1, dtype=F64)
    wrong_c = torch.ones(3, module.n_controls + 1, dtype=F64)
    calls = [module.forward, module.inverse] if isinstance(module, Bijection) else [module.log_prob]
    for call in calls:
        assert_raises_value_error(call, wrong_x, c)
        assert_raises_value_error(call, x[0], c)
        assert_raises_value_error(call, x, wrong_c)
        assert_raises_value_error(call, x.long(), c)
    if isinstance(module, Density):
        assert_raises_value_error(lambda c: module.sample(c, generator=g), wrong_c)


def check_sampling(case: DensityCase, dtype: torch.dtype = F64) -> None:
    """Samples have the dtype of c, come from the generator alone, and carry their log_prob."""
    density = case.build(dtype)
    c = case.inputs(density, 32, stream()).to(dtype)
    x, log_prob = density.sample_and_log_prob(c, generator=stream())
    assert x.shape == (32, *density.event_shape), f"shape {tuple(x.shape)}"
    assert x.dtype == log_prob.dtype == dtype, f"dtypes {x.dtype}, {log_prob.dtype}"
    assert bool(x.isfinite().all() and log_prob.isfinite().all()), "not finite"
    again = density.sample(c, generator=stream())
    assert torch.equal(x, again), "the same generator gave other samples"
    tolerance = case.tolerance if dtype == F64 else 1e-3
    assert_close(density.log_prob(x, c), log_prob, tolerance, "log_prob of samples")


def check_density_batch(case: DensityCase) -> None:
    """log_prob of a row does not depend on the other rows."""
    density, g = case.build(), stream()
    c = case.inputs(density, 5, g)
    x = density.sample(c, generator=g)
    singles = torch.cat([density.log_prob(*row) for row in _rows(x, c)])
    assert_close(density.log_prob(x, c), singles, 1e-10, "batch")


def check_control_gradient(case: DensityCase) -> None:
    """d log_prob / dc by autograd equals a central difference, and can be differentiated again."""
    density, g, h = case.build(), stream(), 1e-4
    c = case.inputs(density, 16, g)
    x = density.sample(c, generator=g).detach()
    for j in range(density.n_controls):
        moved = c.clone().requires_grad_()
        log_prob = density.log_prob(x, moved).sum()
        if log_prob.requires_grad:
            slope = torch.autograd.grad(log_prob, moved, create_graph=True)[0][:, j]
        else:  # it says itself that it does not depend on c
            slope = torch.zeros_like(c[:, j])
        step = torch.zeros_like(c)
        step[:, j] = h * c[:, j]
        difference = density.log_prob(x, c + step) - density.log_prob(x, c - step)
        expected = difference / (2 * step[:, j])
        assert_close(slope, expected.detach(), 1e-5 * (1 + 1 / float(c.min())), "d log_prob / dc")
        if any(p.requires_grad for p in density.parameters()):
            slope.square().sum().backward()


def check_normalised(case: DensityCase, n: int = 20_000) -> None:
    """E_q[1_box / q] is the volume of a box inside the support, within four standard errors."""
    density, g = case.build(), stream()
    c = case.inputs(density, 1, g).expand(n, density.n_controls)
    with torch.no_grad():
        x, log_prob = density.sample_and_log_prob(c, generator=g)
    flat = x.flatten(1) if case.coordinates is None else case.coordinates(x)
    low, high = flat.quantile(0.25, 0), flat.quantile(0.75, 0)
    inside = ((flat > low) & (flat < high)).all(1)
    weight = torch.where(inside, (-log_prob).exp() / (high - low).prod(), 0.0)
    error = weight.std().item() / n**0.5
    assert abs(weight.mean().item() - 1) < 4 * error, f"integral {weight.mean():.4f} +- {error:.4f}"


def check_target_shape(case: TargetCase) -> None:
    """A target has the members of boltzgen's Target, of the types it names."""
    target, g = case.make(), stream()
    x, c = case.inputs(target, 6, g)
    assert isinstance(target.event_shape, tuple)
    assert all(isinstance(n, int) for n in target.event_shape)
    assert isinstance(target.control_names, tuple)
    assert all(isinstance(name, str) for name in target.control_names)
    kept = x.clone(), c.clone()
    for dtype in (F64, F32):
        energy = target.energy(x.to(dtype), c.to(dtype))
        slope = target.denergy_dc(x.to(dtype), c.to(dtype))
        assert energy.shape == (6,), f"energy of shape {tuple(energy.shape)}"
        assert slope.shape == c.shape, f"denergy_dc of shape {tuple(slope.shape)}"
        assert energy.dtype == slope.dtype == dtype, f"dtypes {energy.dtype}, {slope.dtype}"
    assert torch.equal(x, kept[0]), "x was changed in place"
    assert torch.equal(c, kept[1]), "c was changed in place"
    assert_raises_value_error(target.energy, torch.zeros(6, *target.event_shape, 1), c)
    assert_raises_value_error(target.energy, x[..., :-1], c)
    assert_raises_value_error(target.energy, x, torch.ones(5, len(target.control_names)))


def check_target_batch(case: TargetCase) -> None:
    """No row of a batch sees another; the joint evaluation agrees with the single ones."""
    target, g = case.make(), stream()
    x, c = case.inputs(target, 5, g)
    energy, slope = target.energy(x, c), target.denergy_dc(x, c)
    singles = [(target.energy(*row), target.denergy_dc(*row)) for row in _rows(x, c)]
    joint = target.energy_and_denergy_dc(x, c)
    for i, (together, both) in enumerate(zip((energy, slope), joint, strict=True)):
        assert bool(together.isfinite().all()), "the case's configurations must be allowed"
        assert_close(together, torch.cat([s[i] for s in singles]), 1e-10, "batch")
        assert_close(both, together, 1e-10, "energy_and_denergy_dc")


def check_target_derivatives(case: TargetCase) -> None:
    """denergy_dc against autograd and differences in c; forces against differences in x."""
    target, g = case.make(), stream()
    x, c = case.inputs(target, 4, g)
    x, c = x.requires_grad_(), c.requires_grad_()
    gradient, slope = torch.autograd.grad(target.energy(x, c).sum(), (x, c))
    x, c = x.detach(), c.detach()
    assert_close(target.denergy_dc(x, c), slope, 1e-9, "denergy_dc against autograd")
    for j in range(c.shape[1]):
        step = torch.zeros_like(c)
        step[:, j] = 1e-5 * c[:, j]
        difference = target.energy(x, c + step) - target.energy(x, c - step)
        found = target.denergy_dc(x, c)[:, j] * 2 * step[:, j]
        assert_close(found / difference, torch.ones_like(found), 1e-5, "denergy_dc")
    for _ in range(3):
        direction = torch.randn(x.shape, generator=g, dtype=F64)
        length = direction.flatten(1).norm(dim=1).view(-1, *[1] * (x.dim() - 1))
        step = case.step * direction / length
        difference = target.energy(x + step, c) - target.energy(x - step, c)
        along = (gradient * step).flatten(1).sum(1) / case.step
        assert_close(along, difference / (2 * case.step), case.tolerance, "forces")


def check_target_extremes(case: TargetCase) -> None:
    """Degenerate and far configurations have an energy, possibly +inf, and never NaN."""
    target, g = case.make(), stream()
    x, c = case.inputs(target, 3, g)
    for extreme in (torch.zeros_like(x), 1e3 * x, 1e12 * x):
        for dtype in (F64, F32):
            energy, slope = target.energy_and_denergy_dc(extreme.to(dtype), c.to(dtype))
            assert not bool(energy.isnan().any()), f"NaN energy at {extreme.abs().max():.0e}"
            assert not bool(slope.isnan().any()), f"NaN denergy_dc at {extreme.abs().max():.0e}"
            assert not bool((energy == -torch.inf).any()), "energy of -inf"


def check_objective(case: ObjectiveCase) -> None:
    """A finite scalar with a gradient, the same for the same generator; all its state is saved."""
    objective, density = case.make(), case.build()
    batch = case.batch(density, 16, stream())
    kept = [value.clone() for value in (*batch, *density.parameters())]
    first = objective(density, batch, step=0, generator=stream())
    again = case.make()(density, batch, step=0, generator=stream())
    assert torch.equal(first.loss, again.loss), "the same generator gave another loss"
    assert first.loss.shape == (), f"loss of shape {tuple(first.loss.shape)}"
    assert bool(first.loss.isfinite()), "loss not finite"
    for name, value in first.metrics.items():
        assert value.shape == (), f"{name}: shape {tuple(value.shape)}"
        assert not value.requires_grad, f"{name}: not detached"
    first.loss.backward()
    gradients = [p.grad for p in density.parameters() if p.grad is not None]
    assert any(bool((gradient != 0).any()) for gradient in gradients), "no gradient"
    assert all(bool(gradient.isfinite().all()) for gradient in gradients), "gradient not finite"
    now = [*batch, *density.parameters()]
    assert all(map(torch.equal, kept, now)), "the batch or a parameter was changed in place"
    resumed = case.make()
    if isinstance(resumed, nn.Module):
        resumed.load_state_dict(objective.state_dict())
    else:
        assert is_dataclass(resumed), "neither a Module nor a dataclass"
        assert resumed.__dataclass_params__.frozen, "a dataclass that is not frozen"
    second = [o(density, batch, step=1, generator=stream()).loss for o in (objective, resumed)]
    assert torch.equal(*second), "state that is not saved"


def _rows(x: Tensor, c: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(x[i : i + 1], c[i : i + 1]) for i in range(len(x))]


def _difference(a: Tensor, b: Tensor, case: BijectionCase) -> Tensor:
    period = torch.as_tensor(case.period, dtype=a.dtype)
    whole = torch.where(period.isfinite(), period, 1.0)
    turns = torch.where(period.isfinite(), ((a - b) / whole).round() * whole, 0.0)
    return a - b - turns


def _log_determinant(call, point: Tensor, c: Tensor) -> Tensor:
    size = point.numel()
    matrix = jacobian(lambda value: call(value, c)[0], point).reshape(size, size)
    return torch.linalg.slogdet(matrix)[1]
