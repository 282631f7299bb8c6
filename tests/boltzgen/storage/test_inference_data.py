import builtins

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.storage.inference_data import to_inference_data

arviz = pytest.importorskip("arviz")

N_CHAINS, N_DRAWS = 4, 250


def draws(*, chained, seed=0):
    rng = np.random.default_rng(seed)
    shape = (N_CHAINS, N_DRAWS) if chained else (N_DRAWS,)
    return {"mass": rng.normal(size=shape), "matrix": rng.normal(size=(*shape, 2, 3))}


def whole(*, chained):
    """Every group and statistic."""
    posterior = draws(chained=chained)
    shape = posterior["mass"].shape
    rng = np.random.default_rng(1)
    log_weights = rng.normal(size=shape)
    log_weights[..., 3] = -np.inf
    energy = np.where(np.isneginf(log_weights), np.inf, rng.normal(size=shape))
    prior_shape = (N_CHAINS, 40) if chained else (40,)
    groups = {
        "posterior_predictive": {"y": rng.normal(size=(*shape, 7))},
        "log_likelihood": {"y": rng.normal(size=(*shape, 7))},
        "prior": {"mass": rng.normal(size=prior_shape)},
        "prior_predictive": {"y": rng.normal(size=(*prior_shape, 7))},
        "observed_data": {"y": rng.normal(size=7), "n": np.array(7.0)},
        "constant_data": {"times": np.arange(7.0)},
    }
    return posterior, energy, log_weights, groups


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("through_a_file", [False, True])
def test_round_trip(tmp_path, chained, through_a_file):
    posterior, energy, log_weights, groups = whole(chained=chained)
    data = to_inference_data(
        posterior, chained=chained, energy=energy, log_weights=log_weights, groups=groups,
        attributes={"system": "toys/normal", "seed": 3},
    )  # fmt: skip
    if through_a_file:
        pytest.importorskip("h5netcdf")
        data.to_netcdf(str(tmp_path / "draws.nc"), engine="h5netcdf")
        data = arviz.from_netcdf(str(tmp_path / "draws.nc"), engine="h5netcdf")
    for group, values in {"posterior": posterior, **groups}.items():
        for name, expected in values.items():
            found = data[group][name].to_numpy()
            if not chained and group not in ("observed_data", "constant_data"):
                assert data[group][name].dims[:2] == ("chain", "draw")
                found = found[0]
            np.testing.assert_array_equal(found, expected)
    found = data.sample_stats
    for name, expected in (("lp", -energy), ("log_weight", log_weights)):
        np.testing.assert_array_equal(found[name].to_numpy().reshape(expected.shape), expected)
    assert data.attrs["weights"] == "exp(sample_stats.log_weight)"
    assert data.posterior.attrs["weights"] == data.attrs["weights"]
    assert data.posterior_predictive.attrs["weights"] == data.attrs["weights"]
    assert "weights" not in data.prior.attrs
    assert (data.attrs["system"], data.attrs["seed"]) == ("toys/normal", 3)


def test_weighted_draws_are_all_there_and_say_so():
    posterior, _, log_weights, _ = whole(chained=False)
    weighted = to_inference_data(posterior, log_weights=log_weights)
    assert weighted.posterior.sizes["draw"] == N_DRAWS
    w = np.exp(weighted.sample_stats["log_weight"])
    mean = float((w * weighted.posterior["mass"]).sum() / w.sum())
    assert mean == pytest.approx(np.average(posterior["mass"], weights=np.exp(log_weights)))
    equal = to_inference_data(posterior)
    assert equal.attrs["weights"] == equal.posterior.attrs["weights"] == "equal"
    assert "sample_stats" not in equal.groups()


def test_summary_of_chains_has_r_hat():
    posterior = draws(chained=True)
    data = to_inference_data(posterior, chained=True, energy=0.5 * posterior["mass"] ** 2)
    table = arviz.summary(data, round_to="none")
    assert list(table.index[:2]) == ["mass", "matrix[0, 0]"]
    assert len(table) == 7
    assert (np.abs(table["r_hat"] - 1) < 0.03).all()
    np.testing.assert_allclose(table.loc["mass", "mean"], posterior["mass"].mean())
    posterior["mass"][0] += 3.0
    stuck = arviz.summary(to_inference_data(posterior, chained=True), round_to="none")
    assert stuck.loc["mass", "r_hat"] > 1.3


def test_arguments_are_not_changed():
    posterior, energy, log_weights, groups = whole(chained=False)
    attributes = {"seed": 1, "created_at": "today"}
    to_inference_data(
        posterior, energy=energy, log_weights=log_weights, groups=groups, attributes=attributes
    )
    assert attributes == {"seed": 1, "created_at": "today"}
    assert posterior["mass"].shape == (N_DRAWS,)


def test_missing_arviz_gives_a_hint(monkeypatch):
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name == "arviz":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="to_inference_data needs ArviZ: pip install 'arviz<1'"):
        to_inference_data(draws(chained=False))


def test_bad_arguments():
    posterior = draws(chained=False)
    mass = posterior["mass"]
    for options, match in (
        ({"energy": mass[:-1]}, r"energy: expected shape \(250,\), got \(249,\)"),
        ({"log_weights": mass[None]}, r"log_weights: expected shape \(250,\), got \(1, 250\)"),
        ({"groups": {"posteriors": {}}}, "groups: expected some of .*, got posteriors"),
        ({"groups": {"prior": {}}}, "prior: expected draws by name, got none"),
        ({"groups": {"posterior_predictive": {"y": mass[:9]}}}, r"y to have \(250,\) draws, got"),
        ({"attributes": {"weights": "mine"}}, 'attributes: expected names other than "weights"'),
        ({"chained": True}, r"mass to be an array \(n_chains, n_draws, ...\), got \(250,\)"),
    ):
        with pytest.raises(ValueError, match=match):
            to_inference_data(posterior, **options)
    with pytest.raises(ValueError, match="posterior: expected draws by name, got none"):
        to_inference_data({})
    with pytest.raises(ValueError, match=r"matrix to have \(250,\) draws, got \(3,\)"):
        to_inference_data({**posterior, "matrix": np.zeros((3, 2))})
    with pytest.raises(NonFiniteError, match="energy: expected numbers, got 250 NaN"):
        to_inference_data(posterior, energy=np.full(250, np.nan))
    for bad in (np.full(250, -np.inf), np.full(250, np.inf)):
        with pytest.raises(NonFiniteError, match="log_weights: expected finite numbers or -inf"):
            to_inference_data(posterior, log_weights=bad)
