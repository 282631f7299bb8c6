"""Power laws are recovered, chains run until they are long enough, and results are written."""

import csv
import json

import numpy as np
import pytest

import dynamic_exponents
from dynamics.power_law import fit_power_law, fit_tail
from dynamics.times import Method, Piece, Time, measure

WARNINGS = ("chains of 150 tau, less than 200", "scatter more", "follow no power law")
SIZES = np.array([8.0, 16.0, 32.0, 64.0])


def noisy(exponent, share, seed):
    y = 0.3 * SIZES**exponent
    return y * (1 + share * np.random.default_rng(seed).standard_normal(4)), share * y


def test_a_power_law_is_recovered_exactly():
    fit = fit_power_law(SIZES, 0.3 * SIZES**1.7, 0.01 * SIZES)
    assert fit.exponent == pytest.approx(1.7)
    assert fit.amplitude == pytest.approx(0.3)
    assert fit.chi_square == pytest.approx(0.0, abs=1e-12)
    assert fit(10.0) == pytest.approx(0.3 * 10**1.7)
    assert (fit.n_freedom, fit.first) == (2, 8)


def test_errors_and_chi_square_of_the_fit_are_those_of_many_fits():
    fits = [fit_power_law(SIZES, *noisy(0.4, 0.01, seed)) for seed in range(2000)]
    z = np.array([(fit.exponent - 0.4) / fit.exponent_error for fit in fits])
    assert abs(z.mean()) < 4 / np.sqrt(2000)
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(4000))
    a = np.array([(fit.amplitude - 0.3) / fit.amplitude_error for fit in fits])
    assert a.std() == pytest.approx(1, abs=0.1)
    assert np.mean([fit.chi_square for fit in fits]) == pytest.approx(2, abs=4 * 2 / np.sqrt(2000))
    assert np.mean([fit.p_value for fit in fits]) == pytest.approx(0.5, abs=0.03)


def test_weights_count():
    y = 0.3 * SIZES**2
    y[0] *= 2
    errors = 0.01 * y
    errors[0] = 1e3 * y[0]
    assert fit_power_law(SIZES, y, errors).exponent == pytest.approx(2.0, abs=1e-4)


def test_small_sizes_off_the_law_are_left_out_but_three_stay():
    y, errors = noisy(2.0, 0.01, 4)
    assert fit_tail(SIZES, y, errors).first == 8
    y[0] *= 1.3
    fit = fit_tail(SIZES, y, errors)
    assert (fit.first, fit.n_freedom) == (16, 1)
    bent = SIZES * np.log(SIZES) ** 4
    assert fit_tail(SIZES, bent, 1e-3 * bent).n_freedom == 1
    assert fit_tail(SIZES, bent, 1e-3 * bent).p_value < 1e-6


def test_two_points_have_no_p_value():
    fit = fit_tail(SIZES[:2], SIZES[:2], 0.1 * SIZES[:2])
    assert fit.p_value is None
    assert fit.exponent == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("x", "y", "errors", "word"),
    [
        ([8, 16], [1, 2, 3], [1, 1, 1], "shape"),
        ([8, 8], [1, 2], [1, 1], "different"),
        ([8, 16], [1, -2], [1, 1], "y: expected"),
        ([8, 16], [1, 2], [1, 0], "errors: expected"),
    ],
)
def test_bad_points_are_refused(x, y, errors, word):
    with pytest.raises(ValueError, match=word):
        fit_power_law(x, y, errors)


class Autoregressive:
    """x' = r x + noise, whose tau is (1 + r) / (1 - r) / 2 updates; an update is half a sweep."""

    def __init__(self, tau, seed):
        self._r = (2 * tau - 1) / (2 * tau + 1)
        self._stream = np.random.default_rng(seed)
        self._x = self._stream.standard_normal(4)
        self.n_updates = 0

    def advance(self, n_updates, every):
        self.n_updates += n_updates
        records = []
        for number in range(1, n_updates + 1):
            noise = self._stream.standard_normal(4)
            self._x = self._r * self._x + np.sqrt(1 - self._r**2) * noise
            if number % every == 0:
                records.append(self._x)
        return Piece({"x": np.array(records).T}, 0.5)


def made(tau):
    """A method for such chains, and the chains that it made."""
    chains = []

    def start(L, seed):
        chains.append(Autoregressive(tau, seed))
        return chains[-1]

    return Method("AR", start, 1.0, 0.0, lambda L: 1.0, "sweeps"), chains


def test_times_are_those_of_the_process_in_sweeps():
    method, _ = made(6.0)
    shares = []
    (time,) = measure(method, 8, seed=2, length=1500, expected=6.0, tell=shares.append)
    assert abs(time.tau - 3.0) < 4 * time.error
    assert 0 < time.error < 0.3
    assert time.updates == pytest.approx(2 * time.tau)
    assert time.is_long_enough
    assert sum(shares) == pytest.approx(1)


def test_chains_go_on_while_they_are_too_short():
    method, chains = made(40.0)
    (time,) = measure(method, 8, seed=3, length=400, expected=5.0, tell=lambda share: None)
    assert time.length >= 200
    assert time.n_updates > 400 * 5.0
    assert chains[0].n_updates == time.n_updates + 150


def test_chains_that_stay_too_short_are_marked():
    method, chains = made(1e4)
    (time,) = measure(method, 8, seed=3, length=1, expected=1.0, tell=lambda share: None)
    assert not time.is_long_enough
    assert time.n_updates == 16 * 2000 == chains[0].n_updates - 30


def test_short_chains_and_bad_fits_are_named():
    time = Time(
        method="a", observable="b", L=8, tau=1.0, error=0.1, updates=1.0, sweeps_per_update=1.0,
        length=150.0, consistency=1e-5, n_chains=2, n_updates=150,
    )  # fmt: skip
    bad = fit_power_law(SIZES, SIZES**2 * [1, 1, 1, 2], 0.01 * SIZES**2)
    lines = dynamic_exponents.warnings_of([time], {("a", "b"): bad})
    assert [words in line for words, line in zip(WARNINGS, lines, strict=True)] == [True] * 3


def test_times_that_follow_no_power_law_are_drawn_without_one(monkeypatch):
    drawn, draw = {}, dynamic_exponents.draw_power_laws

    def record(L, series, laws, ax, *, label):
        drawn.update(series=list(series), laws=list(laws))
        return draw(L, series, laws, ax, label=label)

    monkeypatch.setattr(dynamic_exponents, "draw_power_laws", record)
    times = [
        Time(method=name, observable="m", L=int(L), tau=tau, error=0.01 * tau, updates=1.0,
             sweeps_per_update=1.0, length=1e3, consistency=0.5, n_chains=2, n_updates=150)
        for name, all_tau in (("good", SIZES**2), ("bent", SIZES * np.log(SIZES) ** 4))
        for L, tau in zip(SIZES, all_tau, strict=True)
    ]  # fmt: skip
    fits = dynamic_exponents.fit_all(times, None)
    assert dynamic_exponents.draw(times, fits, ["m"], "sweeps").startswith(b"\x89PNG")
    assert drawn == {"series": ["good", "bent: no power law"], "laws": ["good"]}


def test_ising_is_written_as_csv_json_and_picture(call, tmp_path):
    words = ("--L", "4,8,16", "--chains", 8, "--length", 250, "--quiet", "--out", tmp_path / "new")
    status, printed, error = call(dynamic_exponents.main, *words)
    assert status == 0, error
    assert "Wolff: in lattice sweeps: clusters times mean cluster size / V" in printed
    assert "tau = A L^z" in printed
    found = json.loads((tmp_path / "new" / "exponents.json").read_text())
    assert found["couplings"]["T"] == pytest.approx(2.2691853)
    z = {(row["method"], row["observable"]): row["z"] for row in found["exponents"]}
    assert len(z) == 6
    assert z["Metropolis", "|m|"] > z["Swendsen-Wang", "|m|"] + 0.5
    rows = list(csv.DictReader((tmp_path / "new" / "times.csv").open()))
    assert len(rows) == len(found["times"]) == 18
    for row in rows:
        assert float(row["length"]) > 200
        assert 0 < float(row["error"]) < float(row["tau"])
    wolff = [row for row in rows if row["method"] == "Wolff" and row["observable"] == "|m|"]
    for row in wolff:
        product = float(row["updates"]) * float(row["sweeps_per_update"])
        assert float(row["tau"]) == pytest.approx(product)
    shares = [float(row["sweeps_per_update"]) for row in wolff]
    assert 1 > shares[0] > shares[1] > shares[2] > 0.4
    assert (tmp_path / "new" / "exponents.png").read_bytes().startswith(b"\x89PNG")


def test_phi4_compares_its_four_algorithms(call, tmp_path, monkeypatch):
    monkeypatch.setattr("dynamics.times._FEWEST_UPDATES", 100)
    monkeypatch.setattr("dynamics.times.LEAST_LENGTH", 20.0)
    monkeypatch.setattr("dynamics.phi4._N_TUNING", 50)
    words = ("--model", "phi4", "--kappa", 0.2, "--L", "4,6", "--chains", 4, "--length", 20)
    status, _, error = call(dynamic_exponents.main, *words, "--quiet", "--out", tmp_path)
    assert status == 0, error
    found = json.loads((tmp_path / "exponents.json").read_text())
    names = {row["method"] for row in found["exponents"]}
    assert names == {"HMC", "HMC + cluster", "heat bath", "Fourier HMC"}
    assert found["couplings"] == {"kappa": 0.2, "lambda": 0.02}
    assert all(row["p_value"] is None for row in found["exponents"])


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--L", "8"), "two or more different even lengths"),
        (("--L", "8,9"), "two or more different even lengths"),
        (("--L", "8,8"), "two or more different even lengths"),
        (("--T", "0"), "expected a number above 0"),
        (("--kappa", "0.2"), "--kappa: belongs to --model phi4"),
        (("--model", "phi4"), "--kappa: --model phi4 needs it"),
        (("--model", "phi4", "--kappa", "0.2", "--T", "2"), "--T: belongs to --model ising"),
        (("--fit-from", "64"), "--fit-from: leaves fewer than two"),
        (("--out", "/dev/null/x"), "--out: cannot make the directory"),
    ],
)
def test_bad_arguments_are_one_line(refuses, words, because):
    refuses(dynamic_exponents.main, *words, because=because)
