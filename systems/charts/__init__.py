"""Charts: vectors of internal coordinates in which a flow can learn a molecule."""

from systems.charts.chart import InternalChart, chart_from_state
from systems.charts.charted import ChartedTarget
from systems.charts.fit import fit_chart
from systems.charts.internal import InternalCoordinates
from systems.charts.layout import thinnest_cut
from systems.charts.methyl import LeafGroup, find_leaf_groups
from systems.charts.zmatrix import ZMatrix, build_zmatrix

__all__ = [
    "ChartedTarget",
    "InternalChart",
    "InternalCoordinates",
    "LeafGroup",
    "ZMatrix",
    "build_zmatrix",
    "chart_from_state",
    "find_leaf_groups",
    "fit_chart",
    "thinnest_cut",
]
