"""Derivatives along directions against torch's forward mode, which shares nothing with `Dual`."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from boltzgen.flows import LogRatio
from boltzgen.flows.duals import Dual, NoRuleError, push
from boltzgen.flows.free_form import AngleCut, EquivariantGraph, ResidualField, Rolled
from boltzgen.random import seeded

Map = Callable[[Tensor, Tensor], Tensor]
_MATRIX = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)


def _away_from_start(network: nn.Module) -> nn.Module:
    noise = Generator().manual_seed(3)
    for weight in network.parameters():
        weight.data += 0.3 * torch.randn(weight.shape, generator=noise)
    return network.double()


def _graph() -> nn.Module:
    seen = LogRatio(torch.ones(1))
    return _away_from_start(EquivariantGraph(4, 2, seen, n_hidden=6, n_layers=3, length=1.3))


def _dense() -> nn.Module:
    return _away_from_start(ResidualField(8, LogRatio(torch.ones(1)), n_hidden=7, n_blocks=2))


def _rolled() -> nn.Module:
    periodic = torch.arange(8) < 3
    return Rolled(_dense(), AngleCut(periodic, torch.linspace(0, 1, 8))).double()


NETWORKS = {"graph": (_graph, (4, 2)), "dense": (_dense, (8,)), "angles": (_rolled, (8,))}


def _place(shape: tuple[int, ...], n_directions: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draw = Generator().manual_seed(2)
    x = torch.randn(5, *shape, generator=draw, dtype=torch.float64)
    c = 0.5 + torch.rand(5, 1, generator=draw, dtype=torch.float64)
    return x, c, torch.randn(n_directions, *x.shape, generator=draw, dtype=torch.float64)


def _by_torch(network: Map, x: Tensor, c: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    pushed = [torch.func.jvp(lambda at: network(at, c), (x,), (one,)) for one in directions]
    return pushed[0][0], torch.stack([rate for _, rate in pushed])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_with_forward_mode(name: str) -> None:
    make, shape = NETWORKS[name]
    with seeded(Generator().manual_seed(0)):
        network = make()
    place = _place(shape)
    assert isinstance(network(Dual(place[0], place[2]), place[1]), Dual)
    for found, expected in zip(push(network, *place), _by_torch(network, *place), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_go_through(name: str) -> None:
    make, shape = NETWORKS[name]
    with seeded(Generator().manual_seed(0)):
        network = make()
    x, c, directions = _place(shape)
    gradients = []
    for how in (push, _by_torch):
        network.zero_grad()
        at, along = x.clone().requires_grad_(), directions.clone().requires_grad_()
        value, rates = how(network, at, c, along)
        (rates.square().sum() + value.sin().sum()).backward()
        used = [p.grad for p in network.parameters() if p.grad is not None]
        gradients.append([at.grad, along.grad, *used])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "sums": lambda x: 2.0 + x - _MATRIX + (x - 1.0) + (_MATRIX + x) + (_MATRIX - x) + (-x),
    "sum with a larger tensor": lambda x: x[..., None] + _MATRIX.new_ones(3, 4),
    "products": lambda x: 2.0 * x * _MATRIX + _MATRIX * x * 3.0 + x * x,
    "product that spreads": lambda x: x[..., :1] * x,
    "quotients": lambda x: x / 3.0 + x / (_MATRIX + 1.0) + x / (x.square() + 1.0),
    "matrix": lambda x: _MATRIX.mT @ x,
    "linear": lambda x: functional.linear(x, _MATRIX, _MATRIX[:, 0]),
    "functions": lambda x: (x.square() + 0.1).sqrt() + x.exp() * x.sigmoid(),
    "functions of torch": lambda x: torch.exp(x) + torch.sigmoid(x) + functional.silu(x),
    "sum over an axis": lambda x: x.sum(-1) * x[..., 0],
    "cat": lambda x: torch.cat([x, _MATRIX.expand(5, 2, 3), 2 * x], 1),
    "where": lambda x: torch.where(_MATRIX > 2, x.exp(), x) + torch.where(_MATRIX > 2, 0.5, x),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n_directions", [1, 3])
def test_rules_agree_with_forward_mode(name: str, n_directions: int) -> None:
    rule = RULES[name]
    x, _, directions = _place((2, 3), n_directions)
    found = rule(Dual(x, directions))  # type: ignore[arg-type]
    value, rates = _by_torch(lambda at, _: rule(at), x, x, directions)
    assert isinstance(found, Dual)
    torch.testing.assert_close(found.value, value)
    torch.testing.assert_close(found.rates, rates.expand_as(found.rates))


def test_operations_without_a_rule_say_so_and_are_left_to_torch() -> None:
    x, c, directions = _place((2, 3))
    dual = Dual(x, directions)
    for use in (lambda: torch.tan(dual), lambda: dual.sum(1), lambda: dual[0]):  # type: ignore[arg-type]
        with pytest.raises(NoRuleError, match=r"tan|axis 1|index 0"):
            use()

    def function(at: Tensor, controls: Tensor) -> Tensor:
        return torch.tan(at) * controls[..., None]

    def method(at: Tensor, controls: Tensor) -> Tensor:
        return at.tanh() * controls[..., None]

    def writing(at: Tensor, controls: Tensor) -> Tensor:
        both = torch.zeros_like(at)
        both[:, 0] = at[:, 1] * controls
        return both

    for network in (function, method, writing):
        for few in (directions[:1], directions):
            torch.testing.assert_close(
                push(network, x, c, few), _by_torch(network, x, c, few), rtol=1e-12, atol=1e-12
            )
