import numpy as np
import pytest
import torch
from scipy.stats import chi2

from systems.lattices.monte_carlo.streams import (
    N_LANES,
    bytes_block,
    check_streams,
    draw_word,
    fill_block,
    first_lane,
    make_streams,
    next_word,
    split_mix,
    to_below,
    to_unit,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def reference_words(state, n):
    """Blackman and Vigna's xoshiro256++ in whole numbers of Python."""
    mask = 2**64 - 1

    def rotate(x, k):
        return ((x << k) | (x >> (64 - k))) & mask

    s, words = [int(w) for w in state], []
    for _ in range(n):
        words.append((rotate((s[0] + s[3]) & mask, 23) + s[0]) & mask)
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
    return words


def test_published_words_of_xoshiro():
    stream = np.zeros((4, N_LANES), dtype=np.uint64)
    stream[:, 0] = 1, 2, 3, 4
    words = [int(draw_word(stream)) for _ in range(8)]
    assert words == [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
        9973669472204895162,
        14011001112246962877,
        12406186145184390807,
    ]


def test_published_words_of_splitmix():
    words = split_mix(np.array([1234567], dtype=np.uint64), 5)[:, 0]
    assert words.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_every_lane_of_a_block_is_its_own_generator():
    stream = make_streams(1, generator=generator())[0]
    expected = [reference_words(stream[:, lane], 5) for lane in range(N_LANES)]
    block = bytes_block(5 * 8 * N_LANES)
    fill_block(stream, block)
    assert block.T.tolist() == expected


def test_words_one_by_one_continue_the_first_lane():
    stream = make_streams(1, generator=generator())[0]
    expected = reference_words(stream[:, 0], 3)
    first, state = next_word(first_lane(stream))
    assert int(first) == expected[0]
    assert [int(draw_word(stream)) for _ in range(3)] == expected
    assert tuple(int(w) for w in state) != tuple(int(w) for w in first_lane(stream))


def test_streams_depend_on_the_generator_alone():
    first, again = make_streams(3, generator=generator(1)), make_streams(3, generator=generator(1))
    other = make_streams(3, generator=generator(2))
    assert (first == again).all()
    assert np.unique(np.concatenate([first, other])).size == 2 * first.size
    assert (first >> np.uint64(63)).any()  # the highest bit is used


def chi_square_probability(counts):
    expected = counts.sum() / counts.size
    return chi2.sf(np.square(counts - expected).sum() / expected, counts.size - 1)


def test_bytes_and_pairs_of_bytes_are_uniform():
    stream = make_streams(1, generator=generator(3))[0]
    block = bytes_block(1 << 20)
    fill_block(stream, block)
    data = block.reshape(-1).view(np.uint8).astype(np.int64)
    assert 1e-4 < chi_square_probability(np.bincount(data, minlength=256)) < 1 - 1e-4
    for step in (1, 8, 8 * N_LANES):  # the next byte, the next lane, the next word of a lane
        pairs = 256 * data[:-step] + data[step:]
        assert 1e-4 < chi_square_probability(np.bincount(pairs, minlength=65536)) < 1 - 1e-4


def test_bits_of_words_are_fair_and_lanes_uncorrelated():
    stream = make_streams(1, generator=generator(4))[0]
    block = bytes_block(8 * N_LANES * 4000)
    fill_block(stream, block)
    bits = (block[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    signs = 2.0 * bits.reshape(4000, -1) - 1.0
    assert np.abs(signs.mean(0)).max() * np.sqrt(4000) < 5
    units = np.array([[to_unit(w) for w in row] for row in block[:1000]])
    correlation = np.corrcoef(units.T) - np.eye(N_LANES)
    assert np.abs(correlation).max() * np.sqrt(1000) < 4.5


def test_unit_numbers_and_integers_keep_their_range():
    top = np.uint64(2**64 - 1)
    assert to_unit(top) == 1 - 2.0**-53
    assert to_unit(np.uint64(0)) == 0.0
    assert to_below(top, 7) == 6
    assert to_below(np.uint64(0), 7) == 0
    stream = make_streams(1, generator=generator(5))[0]
    drawn = np.array([to_below(np.uint64(draw_word(stream)), 6) for _ in range(6000)])
    assert 1e-4 < chi_square_probability(np.bincount(drawn, minlength=6)) < 1 - 1e-4


@pytest.mark.parametrize("n_chains", [0, 1.5, "2"])
def test_bad_number_of_streams(n_chains):
    with pytest.raises(ValueError, match="n_chains: expected"):
        make_streams(n_chains, generator=generator())


def test_bad_streams():
    streams = make_streams(2, generator=generator())
    check_streams(streams, 2)
    for bad, message in (
        (streams.astype(np.int64), "uint64 array, got int64"),
        (streams.tolist(), "got list"),
        (streams[:1], "expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            check_streams(bad, 2)
