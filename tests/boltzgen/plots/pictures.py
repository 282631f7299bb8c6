"""What every picture has to do."""

import warnings

from boltzgen import plots


def assert_draws(draw, labels):
    """It draws without a warning into the axes given, returns them, and labels both axes."""
    with plots.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.new_figure(width=5.0)
        ax = figure.axes[0]
        assert draw(ax) is ax
        assert (ax.get_xlabel(), ax.get_ylabel()) == labels
        assert plots.to_png(figure, dpi=40).startswith(b"\x89PNG")
