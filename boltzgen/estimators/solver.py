"""pymbar, imported without the banner it logs about JAX and about its timeseries module."""

import logging

_logger = logging.getLogger("pymbar")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
    import pymbar
    import pymbar.timeseries as timeseries
finally:
    _logger.setLevel(_level)

__all__ = ["pymbar", "timeseries"]
