import math

import pytest
import torch

from systems.posteriors import Interval, Parameter, ParameterSpace, Positive, Simplex

SPACE = ParameterSpace(
    [
        Parameter("mu"),
        Parameter("tau", support=Positive()),
        Parameter("share", (3,), Simplex()),
        Parameter("angle", (2, 2), Interval(0.0, math.pi)),
    ]
)


def test_labels_are_in_the_order_of_the_components():
    assert SPACE.names == ("mu", "tau", "share", "angle")
    assert SPACE.labels == (
        "mu", "tau", "share[0]", "share[1]", "share[2]",
        "angle[0,0]", "angle[0,1]", "angle[1,0]", "angle[1,1]",
    )  # fmt: skip
    assert SPACE.n_free == 1 + 1 + 2 + 4
    assert Parameter("share", (3,), Simplex()).free_shape == (2,)


def test_a_vector_is_cut_into_parameters_and_put_together_again(generator):
    x = torch.randn(7, SPACE.n_free, generator=generator, dtype=torch.float64)
    values, logdet = SPACE.constrain(x)
    assert {name: tuple(value.shape) for name, value in values.items()} == {
        "mu": (7,), "tau": (7,), "share": (7, 3), "angle": (7, 2, 2),
    }  # fmt: skip
    torch.testing.assert_close(values["mu"], x[:, 0])
    torch.testing.assert_close(values["tau"], x[:, 1].exp())
    torch.testing.assert_close(SPACE.unconstrain(values), x)
    parts = [p.support.constrain for p in SPACE.parameters]
    pieces = [x[:, 0], x[:, 1], x[:, 2:4], x[:, 4:].reshape(7, 2, 2)]
    expected = sum(part(piece)[1] for part, piece in zip(parts, pieces, strict=True))
    torch.testing.assert_close(logdet, expected)


def test_flat_values_follow_the_labels(generator):
    x = torch.randn(4, SPACE.n_free, generator=generator, dtype=torch.float64)
    values = SPACE.constrain(x)[0]
    flat = SPACE.flatten(values)
    assert flat.shape == (4, len(SPACE.labels))
    for label, column in zip(SPACE.labels, flat.T, strict=True):
        name, _, index = label.partition("[")
        at = tuple(int(i) for i in index.rstrip("]").split(",")) if index else ()
        torch.testing.assert_close(column, values[name][(slice(None), *at)])


def test_the_order_of_a_mapping_does_not_matter_and_a_batch_may_be_empty():
    values = SPACE.constrain(torch.zeros(2, SPACE.n_free))[0]
    backwards = dict(reversed(values.items()))
    assert torch.equal(SPACE.unconstrain(backwards), SPACE.unconstrain(values))
    empty = SPACE.constrain(torch.zeros(0, SPACE.n_free))[0]
    assert SPACE.unconstrain(empty).shape == (0, SPACE.n_free)
    assert SPACE.flatten(empty).shape == (0, len(SPACE.labels))


def test_bad_parameters_are_named():
    with pytest.raises(ValueError, match="^name: expected a word, got ''"):
        Parameter("")
    with pytest.raises(ValueError, match="^name: expected a word, got 'a b'"):
        Parameter("a b")
    with pytest.raises(ValueError, match="^shape: expected lengths of at least 1"):
        Parameter("a", (0,))
    with pytest.raises(ValueError, match="^shape: expected a last axis of at least 2 parts"):
        Parameter("a", (), Simplex())
    with pytest.raises(ValueError, match="^parameters: expected at least one and distinct"):
        ParameterSpace([])
    with pytest.raises(ValueError, match="^parameters: .*distinct names, got .'a', 'a'"):
        ParameterSpace([Parameter("a"), Parameter("a")])


def test_bad_values_are_named():
    space = ParameterSpace([Parameter("a"), Parameter("b", (2,), Positive())])
    good = {"a": torch.zeros(3), "b": torch.ones(3, 2)}
    with pytest.raises(ValueError, match="^values: expected a, b, got a$"):
        space.unconstrain({"a": good["a"]})
    with pytest.raises(ValueError, match="^values: expected a, b, got a, b, d"):
        space.flatten({**good, "d": good["a"]})
    with pytest.raises(ValueError, match=r"^b: expected shape \(B, 2\), got \(3, 1\)"):
        space.unconstrain({**good, "b": torch.ones(3, 1)})
    with pytest.raises(ValueError, match=r"^a: expected shape \(B, \), got \(\)"):
        space.unconstrain({**good, "a": torch.tensor(0.0)})
    with pytest.raises(ValueError, match="^b: value: expected numbers above 0, got -1"):
        space.unconstrain({**good, "b": -torch.ones(3, 2)})
