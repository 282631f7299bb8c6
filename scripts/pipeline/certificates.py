"""The round trip of a free-form flow in tables."""

from collections.abc import Sequence

from boltzgen.flows.free_form import Errors, RoundTrip

HEADER = ("|x−g(f(x))|", "|z−f(g(z))|", "in the tail", "Δ log q", "lost", "folded", "of")
EXPLAINED = (
    "The encoder f only finds latents of the decoder g, whose density is the exact one; the "
    "certificate shows how well f and g undo each other, in the middle and (in brackets) at the "
    "worst of the points; Δ log q, in nats, is what the encoder's own density differs by. Lost: "
    "points and samples without a latent that could be found; folded: a second latent gives the "
    "same configuration, so that its density is too small."
)


def certificate_cells(found: RoundTrip) -> Sequence[str]:
    """Cells under `HEADER`."""
    return [
        *(_errors(e) for e in (found.data, found.latent, found.tail, found.log_density_gap)),
        f"{found.n_lost}, {found.n_lost_samples}",
        str(found.n_folded),
        str(found.n_points),
    ]


def certificate_warnings(found: RoundTrip, where: str) -> list[str]:
    """What it says against the flow, one sentence each.

    Args:
        found: The certificate.
        where: Such as "At T = 1".
    """
    return [
        f"{where} {n} of {found.n_points} {words}."
        for n, words in (
            (found.n_lost, "points have no latent that could be found: no density there"),
            (
                found.n_lost_samples,
                "samples have a latent that could not be found again: the encoder does not follow "
                "the decoder there",
            ),
            (
                found.n_folded,
                "samples come from a second latent too: their density is too small and their "
                "weight too large",
            ),
        )
        if n
    ]


def certificate_numbers(found: RoundTrip) -> dict[str, object]:
    """The same as plain numbers; null where there is none."""
    errors = {
        name: {
            key: None if value != value else value  # NaN: no point had a latent
            for key, value in getattr(found, name)._asdict().items()
        }
        for name in ("data", "latent", "tail", "log_density_gap")
    }
    counts = {
        name: getattr(found, name)
        for name in ("n_points", "n_lost", "n_lost_samples", "n_folded", "stretch")
    }
    return {**errors, **counts}


def _errors(found: Errors) -> str:
    return f"{found.median:.2g} ({found.largest:.2g})"
