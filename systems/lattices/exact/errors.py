"""What goes wrong in arithmetic that is exact but for rounding and discretisation."""


class CancellationError(ArithmeticError):
    """So much cancels that the result would have few correct digits."""


class ConvergenceError(ArithmeticError):
    """A quadrature did not reach its tolerance with the most nodes it may use."""
