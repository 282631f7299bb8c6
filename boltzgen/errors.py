"""Errors for numerical failure and for unusable files; bad arguments raise ValueError."""


class NonFiniteError(RuntimeError):
    """A quantity that must be finite is NaN or infinite."""


class NotConvergedError(RuntimeError):
    """An iteration stopped before it reached its tolerance."""


class CorruptFileError(RuntimeError):
    """A file is truncated, damaged or of another kind than its name says."""
