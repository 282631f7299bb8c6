"""What every stage of a run took."""

from collections.abc import Mapping

from boltzgen.report import Table


def ledger_table(energy_calls: Mapping[str, int], seconds: Mapping[str, float]) -> Table:
    """Energy calls and wall time by stage, a dash where a stage has none, and their sums."""
    stages = list(dict.fromkeys([*energy_calls, *seconds]))
    rows = [
        [
            stage,
            f"{energy_calls[stage]:,}" if stage in energy_calls else "-",
            f"{seconds[stage]:,.0f}" if stage in seconds else "-",
        ]
        for stage in stages
    ]
    rows.append(["all", f"{sum(energy_calls.values()):,}", f"{sum(seconds.values()):,.0f}"])
    return Table(header=["stage", "energy calls", "wall time / s"], rows=rows)
