"""Random numbers for compiled code: one stream of xoshiro256++ for each chain.

A stream is an array uint64 (4, N_LANES): sixteen generators of 256 bits side by side. Functions
that need many numbers at once take a block from all lanes, which the processor computes together;
those that need one number after another use the first lane alone. A chain owns its stream, so that
results depend neither on the number of threads nor on the other chains.

References:
    Blackman & Vigna, Scrambled linear pseudorandom number generators, ACM Trans. Math. Softw. 47,
    36 (2021), arXiv:1805.01407; Steele, Lea & Flood, Fast splittable pseudorandom number
    generators, OOPSLA (2014), for splitmix64.
"""

import numpy as np
import torch
from numba import uint64
from torch import Generator

from systems.lattices.monte_carlo.compiled import compiled

N_LANES = 16
_WORDS_OF_STATE = 4
_TO_UNIT = 2.0**-53

State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


def make_streams(n_chains: int, *, generator: Generator) -> np.ndarray:
    """Independent streams, every lane seeded by splitmix64 from 64 bits of the generator.

    Args:
        n_chains: Number of streams, at least 1.
        generator: Where the seeds come from.

    Returns:
        uint64 of shape (n_chains, 4, N_LANES).
    """
    if not isinstance(n_chains, int) or n_chains < 1:
        raise ValueError(f"n_chains: expected an integer of at least 1, got {n_chains!r}")
    shape = (2, n_chains, N_LANES)
    halves = torch.randint(2**32, shape, generator=generator, device=generator.device)
    high, low = halves.cpu().numpy().astype(np.uint64)
    return split_mix((high << np.uint64(32)) | low, _WORDS_OF_STATE).swapaxes(0, 1).copy()


def split_mix(seeds: np.ndarray, n_words: int) -> np.ndarray:
    """The first words of splitmix64 from each seed.

    Args:
        seeds: uint64 of any shape.
        n_words: How many words of each.

    Returns:
        uint64 of shape (n_words, *seeds.shape).
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    counts = np.arange(1, n_words + 1, dtype=np.uint64).reshape(-1, *[1] * seeds.ndim)
    z = seeds + counts * step
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_streams(streams: np.ndarray, n_chains: int) -> None:
    """Require what `make_streams` returns for that number of chains.

    Raises:
        ValueError: Another type, dtype or shape.
    """
    if not isinstance(streams, np.ndarray) or streams.dtype != np.uint64:
        kind = streams.dtype if isinstance(streams, np.ndarray) else type(streams).__name__
        raise ValueError(f"streams: expected a uint64 array, got {kind}")
    expected = (n_chains, _WORDS_OF_STATE, N_LANES)
    if streams.shape != expected:
        raise ValueError(f"streams: expected shape {expected}, got {streams.shape}")


@compiled
def _rotate(x: np.uint64, k: int) -> np.uint64:
    return (x << uint64(k)) | (x >> uint64(64 - k))


@compiled
def next_word(state: State) -> tuple[np.uint64, State]:
    """64 random bits from a state of four words, and the state after them."""
    s0, s1, s2, s3 = state
    word = _rotate(s0 + s3, 23) + s0
    t = s1 << uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = _rotate(s3, 45)
    return word, (s0, s1, s2, s3)


@compiled
def first_lane(stream: np.ndarray) -> State:
    """State of the first lane, to be held in registers."""
    return stream[0, 0], stream[1, 0], stream[2, 0], stream[3, 0]


@compiled
def keep_first_lane(stream: np.ndarray, state: State) -> None:
    """Write the state of the first lane back."""
    stream[0, 0], stream[1, 0], stream[2, 0], stream[3, 0] = state


@compiled
def draw_word(stream: np.ndarray) -> np.uint64:
    """64 random bits from the first lane."""
    word, state = next_word(first_lane(stream))
    keep_first_lane(stream, state)
    return word


@compiled
def to_unit(word: np.uint64) -> float:
    """A number uniform on the multiples of 2^-53 in [0, 1), from the upper 53 bits."""
    return float(word >> uint64(11)) * _TO_UNIT


@compiled
def to_below(word: np.uint64, n: int) -> np.uint64:
    """An integer in 0 ... n - 1, n below 2^32, from the upper 32 bits by multiplication.

    Its probabilities differ from 1 / n by less than 2^-32 of one another; for n a power of two
    they are equal.
    """
    return ((word >> uint64(32)) * uint64(n)) >> uint64(32)


@compiled
def fill_block(stream: np.ndarray, block: np.ndarray) -> None:
    """Fill a block uint64 (n, N_LANES) with random words, row after row, from all lanes."""
    for i in range(block.shape[0]):
        for k in range(stream.shape[1]):
            s0, s1, s2, s3 = stream[0, k], stream[1, k], stream[2, k], stream[3, k]
            t = s1 << uint64(17)
            block[i, k] = _rotate(s0 + s3, 23) + s0
            s2 ^= s0
            s3 ^= s1
            s1 ^= s2
            s0 ^= s3
            s2 ^= t
            stream[0, k], stream[1, k], stream[2, k] = s0, s1, s2
            stream[3, k] = _rotate(s3, 45)


@compiled
def bytes_block(n_bytes: int) -> np.ndarray:
    """An empty block for `fill_block` of at least that many random bytes."""
    width = 8 * N_LANES
    return np.empty(((n_bytes + width - 1) // width, N_LANES), np.uint64)
