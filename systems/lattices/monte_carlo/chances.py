"""Probabilities for few random bits: a short number decides, a long one only where it ties.

A random integer of k bits is below p 2^k, surely not below it, or equal to its whole part; only
then, once in 2^k times, 64 further bits decide about the rest. The event has the probability p to
within 2^-(64 + k) though nearly every decision takes one byte.
"""

import numpy as np

_WORD = 2.0**64


def split_chances(p: np.ndarray, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Heads h and tails t of probabilities, p = (h + t / 2^64) / 2^n_bits.

    Args:
        p: Probabilities, float64 of any shape.
        n_bits: Bits of the head, at most 16.

    Returns:
        Heads and tails, uint64 of the same shape; p = 1 becomes the largest of both.

    Raises:
        ValueError: A probability is not between 0 and 1.
    """
    p = np.asarray(p, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p: expected probabilities, got {p}")
    scaled = p * 2.0**n_bits
    whole = np.minimum(np.floor(scaled), 2.0**n_bits - 1)
    rest = scaled - whole
    tails = np.full(p.shape, np.iinfo(np.uint64).max, dtype=np.uint64)
    inner = rest < 1
    tails[inner] = (rest[inner] * _WORD).astype(np.uint64)
    return whole.astype(np.uint64), tails
