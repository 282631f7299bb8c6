"""The benchmark times both sides, and its continuous flow has the density that it says."""

import json
import sys
import types

import pytest
import torch

import bench_free_form
from free_form_bench.continuous import new_continuous, train_continuous
from free_form_bench.steps import batch_for, dense_flow, graph_flow, step_passes


def odeint(function, start, times, *, method, rtol, atol, n_steps=40):
    """The classical Runge-Kutta method with fixed steps, in place of the adaptive peer."""
    assert (method, rtol, atol) == ("dopri5", 1e-5, 1e-5)
    single = torch.is_tensor(start)
    state = (start,) if single else start
    h = (times[1] - times[0]) / n_steps

    def rate(t, at):
        found = function(t, at[0] if single else at)
        return (found,) if single else found

    def moved(at, by, share):
        return tuple(x + share * dx for x, dx in zip(at, by, strict=True))

    for k in range(n_steps):
        t = times[0] + k * h
        k1 = rate(t, state)
        k2 = rate(t + h / 2, moved(state, k1, h / 2))
        k3 = rate(t + h / 2, moved(state, k2, h / 2))
        k4 = rate(t + h, moved(state, k3, h))
        state = tuple(
            x + h / 6 * (a + 2 * b + 2 * c + d)
            for x, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
    starts = (start,) if single else start
    path = [torch.stack(ends) for ends in zip(starts, state, strict=True)]
    return path[0] if single else tuple(path)


@pytest.fixture
def solver(monkeypatch):
    module = types.ModuleType("torchdiffeq")
    module.odeint = odeint
    monkeypatch.setitem(sys.modules, "torchdiffeq", module)


def test_the_continuous_flow_knows_its_density(solver, generator):
    """d log q / dt = -div v along a path, against the determinant of the whole map."""
    flow = new_continuous(3, 2, n_hidden=8, n_layers=2, length=1.5, generator=generator).double()
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=generator, dtype=torch.float64
        )
    like = torch.zeros(1, dtype=torch.float64)
    stream = torch.Generator()
    x, log_q = flow.sample_and_log_prob(2, generator=stream.manual_seed(3), like=like)
    start = flow.base.sample(like.new_zeros(2, 0), generator=stream.manual_seed(3))

    def end(flat):
        return odeint(
            lambda t, at: flow._rate(at, t), flat.reshape(1, 3, 2), like.new_tensor([0.0, 1.0]),
            method="dopri5", rtol=1e-5, atol=1e-5,
        )[-1].flatten()  # fmt: skip

    for row in range(2):
        torch.testing.assert_close(end(start[row].flatten()), x[row].flatten())
        jacobian = torch.func.jacfwd(end)(start[row].flatten())
        expected = flow.base.log_prob(start[row : row + 1], like.new_zeros(1, 0))
        expected = expected - torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(log_q[row : row + 1], expected, rtol=0, atol=1e-5)


def test_flow_matching_learns(solver, generator):
    flow = new_continuous(2, 1, n_hidden=8, n_layers=1, length=1.0, generator=generator)
    x = torch.tensor([[[1.0], [-1.0]]]).repeat(64, 1, 1)
    before = flow.matching_loss(x, generator=generator).item()
    n_steps = train_continuous(
        flow, x, seconds=1.0, batch_size=32, learning_rate=1e-2, generator=generator,
    )  # fmt: skip
    assert n_steps > 5
    assert flow.matching_loss(x, generator=generator).item() < before


@pytest.mark.parametrize("flow", [
    graph_flow(3, 2, n_hidden=8, n_layers=1), dense_flow(3, n_hidden=8, n_blocks=1)
])  # fmt: skip
def test_every_pass_does_its_work(flow, generator):
    batch = batch_for(flow, 5, generator=generator)
    passes = step_passes(flow, batch, (1, 2), generator=generator)
    assert list(passes) == ["autoencoder", "K = 1", "K = 2", "samples with density"]
    for name, work in passes.items():
        flow.zero_grad(set_to_none=True)
        work()
        moved = any(p.grad is not None for p in flow.encoder.parameters())
        assert moved == (name != "samples with density")


def test_the_table_and_the_file_hold_both_sides(solver, tmp_path, call, monkeypatch):
    import train_particles

    words = ("--system", "dw4", "--preset", "smoke", "--T", "1", "--quiet", "--steps", "4")
    cache = ("--cache", tmp_path / "cache")
    assert call(train_particles.main, *words, *cache, "--out", tmp_path / "run")[0] == 0
    monkeypatch.setattr(bench_free_form, "CASES", bench_free_form.CASES[:1])
    status, printed, _ = call(
        bench_free_form.main, "--run", tmp_path / "run", *cache, "--seconds", 1, "--repeats", 1,
        "--samples", 10, "--weighted", 10, "--batch", 4, "--json", tmp_path / "bench.json",
    )  # fmt: skip
    assert status == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    assert {r["what"] for r in found["steps"]} >= {"autoencoder", "K = 1"}
    assert found["sampling"]["cnf_calls"] > 10
    assert 0 < found["sampling"]["cnf_ess"] <= 1
    assert "/ autoencoder" in printed
    assert "dw4 at T = 1.0" in printed


def test_a_missing_solver_is_named(tmp_path, refuses, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    refuses(bench_free_form.main, "--run", tmp_path, because="boltzgen-flows[bench]")
