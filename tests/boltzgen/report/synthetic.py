"""A report of invented numbers with every picture, for the tests and for looking at the design."""

import numpy as np

from boltzgen import estimators, plots
from boltzgen.plots.style import new_figure, style, to_png
from boltzgen.report import Figure, ReportContent, Section, Table

TEMPERATURES = np.array([300.0, 350.0, 400.0, 450.0, 500.0, 550.0, 600.0])


def picture(draw, *, width=5.0, aspect=0.72):
    with style():
        figure = new_figure(width=width, aspect=aspect)
        draw(figure.axes[0])
    return to_png(figure)


def angles(rng, n=20_000):
    centre = rng.choice(3, p=[0.55, 0.4, 0.05], size=n)
    phi = rng.vonmises(np.deg2rad([-75, -80, 55])[centre], 12)
    return phi, rng.vonmises(np.deg2rad([140, -20, 40])[centre], 6)


def training_section(rng):
    steps = np.arange(0, 4000, 10)
    decay = np.exp(-steps / 900)
    curves = {
        "forward KL at 600 K": 3 * decay + 0.05 * rng.normal(size=steps.size),
        "temperature residual": 2 * np.exp(-steps / 500) + 0.04 * rng.normal(size=steps.size),
    }
    smooth = {"forward KL at 600 K": 3 * decay, "temperature residual": 2 * np.exp(-steps / 500)}
    image = picture(
        lambda ax: plots.draw_training(steps, curves, ax, label="loss / nats", smoothed=smooth),
        width=9.5,
        aspect=0.36,
    )
    caption = "Terms of the loss over training; pale: single steps, strong: running mean."
    return Section(title="Training", figures=[Figure(image=image, caption=caption, wide=True)])


def weights_section():
    reverse = np.array([0.21, 0.26, 0.32, 0.37, 0.4, 0.43, 0.45]), np.full(7, 0.015)
    forward = np.array([0.16, np.nan, np.nan, 0.35, np.nan, np.nan, 0.44]), np.full(7, 0.03)
    khat = np.array([0.74, 0.62, 0.55, 0.5, 0.42, 0.4, 0.35])
    first = picture(lambda ax: plots.draw_ess(TEMPERATURES, reverse, ax, forward=forward))
    second = picture(lambda ax: plots.draw_khat(TEMPERATURES, khat, ax))
    rows = [
        [
            f"{t:.0f}",
            f"{100 * r:.1f} ± 1.5",
            "–" if np.isnan(f) else f"{100 * f:.1f} ± 3.0",
            f"{k:.2f}",
        ]
        for t, r, f, k in zip(TEMPERATURES, reverse[0], forward[0], khat, strict=True)
    ]
    return Section(
        title="How good are the weights",
        text="Every temperature has 10,000 samples of the model; no weight was clipped.",
        figures=[
            Figure(image=first, caption="Effective sample size over N, with bootstrap errors."),
            Figure(image=second, caption="Tail index of the weights; above 0.7 do not trust them."),
        ],
        tables=[
            Table(
                header=["T / K", "reverse ESS / %", "forward ESS / %", "k-hat"],
                rows=rows,
                caption="Weights at every temperature.",
            )
        ],
    )


def thermodynamics_section():
    kt = 0.00831446 * TEMPERATURES
    curves = {
        "F / kJ/mol": (-200 - 0.08 * TEMPERATURES, 0.02 * kt),
        "U / kJ/mol": (-60 + 28 * kt, 0.1 * kt),
        "S / kJ/mol/K": (0.3 + 0.0004 * TEMPERATURES, np.full(7, 0.001)),
        "$C_v$ / kJ/mol/K": (0.233 + 1e-5 * TEMPERATURES, np.full(7, 0.004)),
    }
    figures = [
        Figure(
            image=picture(
                lambda ax, v=values, e=errors, n=name: plots.draw_over_temperature(
                    TEMPERATURES, v, e, ax, label=n, reference=(TEMPERATURES[::3], v[::3], e[::3])
                )
            ),
            caption=f"{name.split(' /')[0].strip('$')} of the configurations over temperature.",
        )
        for name, (values, errors) in curves.items()
    ]
    overlap = np.exp(-np.square(np.subtract.outer(np.arange(7), np.arange(7))) / 2)
    overlap /= overlap.sum(1, keepdims=True)
    names = [f"{t:.0f} K" for t in TEMPERATURES]
    image = picture(lambda ax: plots.draw_overlap(overlap, ax, rows=names, columns=names))
    figures.append(Figure(image=image, caption="Overlap of the states in MBAR."))
    edges = np.linspace(-100, 60, 41)
    middle = 0.5 * (edges[1:] + edges[:-1])
    densities = {
        name: np.exp(-np.square(middle - m) / 500) / 39.6
        for name, m in (("reference", -25), ("model", -21), ("reweighted", -25))
    }
    image = picture(lambda ax: plots.draw_energies(edges, densities, ax, unit="kJ/mol"))
    figures.append(Figure(image=image, caption="Potential energy at 300 K."))
    return Section(title="Thermodynamics", figures=figures)


def structure_section(rng):
    phi, psi = angles(rng)
    surface = estimators.free_energy_surface(phi, psi)
    profile = estimators.angle_profile(phi)
    reference = estimators.angle_profile(angles(rng)[0])
    found, expected = profile.populations, reference.populations
    images = [
        picture(lambda ax: plots.draw_surface(surface.edges, surface.free_energy, ax), aspect=0.82),
        picture(
            lambda ax: plots.draw_surface_errors(surface.edges, surface.errors, ax), aspect=0.82
        ),
        picture(
            lambda ax: plots.draw_profile(
                profile.edges,
                found.values,
                found.errors,
                ax,
                reference=(expected.values, expected.errors),
            ),
            width=9.5,
            aspect=0.36,
        ),
    ]
    return Section(
        title="Structure at 300 K",
        figures=[
            Figure(image=images[0], caption="Free energy over (phi, psi), reweighted model."),
            Figure(image=images[1], caption="Its standard error; grey: no samples."),
            Figure(image=images[2], caption="Population of 10-degree bins of phi.", wide=True),
        ],
    )


def synthetic_report():
    rng = np.random.default_rng(0)
    return ReportContent(
        title="Alanine dipeptide, 300 K to 600 K",
        subtitle="ala2/ff99sbildn-obc2 · default preset · seed 1 · 2 CPU cores",
        verdict="One model that saw molecular dynamics at 600 K only gives the free-energy"
        " difference between 300 K and 600 K as -42.31 ± 0.04 kT; the reference says -42.28 ± 0.05."
        " Weights can be trusted from 350 K upwards.",
        warnings=["k-hat is 0.74 at 300 K, above 0.7: do not trust the weights there."],
        sections=[
            training_section(rng),
            weights_section(),
            thermodynamics_section(),
            structure_section(rng),
        ],
        ledger=Table(
            header=["stage", "energy calls", "wall time / s"],
            rows=[
                ["data (600 K dynamics)", "12,000,000", "310"],
                ["training", "2,450,000", "840"],
                ["evaluation", "70,000", "35"],
                ["sum", "14,520,000", "1,185"],
            ],
            caption="Energy calls of every stage, and the time they took.",
        ),
        command="python scripts/train_alanine.py --T 300:600 --preset default --seed 1",
        versions={"boltzgen": "0.1.0", "torch": "2.13.0", "openmm": "8.6.1", "pymbar": "4.0.3"},
    )
