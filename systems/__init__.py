"""Physical and statistical systems with a dimensionless energy and its derivative in the control.

Nothing here imports `boltzgen`; the two meet through the shape of their interfaces alone.
"""
