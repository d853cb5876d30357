"""Gradients so large that their squares are infinite."""

import numpy as np
import pytest

from pylstm import Sequential, layers, optimizers

X = np.ones((2, 3), np.float32)
Y = np.zeros((2, 1), np.float32)


def pushed(optimizer, *slopes, dtype="float32"):
    """The weights before and after steps whose loss has these slopes."""
    current = iter(slopes)

    def loss(y_true, y_pred):
        return 1.0, np.full_like(y_pred, next(current))

    model = Sequential([layers.Input((3,)), layers.Dense(1)], dtype=dtype)
    model.compile(optimizer, loss)
    before = model.get_weights()
    for _ in slopes:
        model.train_on_batch(X, Y)
    return before, model.get_weights()


@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.RMSprop])
def test_a_rule_that_squares_them_skips_the_step(kind):
    with pytest.warns(RuntimeWarning, match="not applied"):
        before, after = pushed(kind(0.1), 1e20)
    assert all(map(np.array_equal, before, after))


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_a_limit_that_is_as_huge_does_not_help(clip):
    with pytest.warns(RuntimeWarning, match="not applied"):
        before, after = pushed(optimizers.Adam(0.1, **{clip: 1e30}), 1e20)
    assert all(map(np.array_equal, before, after))


@pytest.mark.filterwarnings("ignore:.*not applied:RuntimeWarning")
@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.RMSprop])
def test_the_steps_after_it_learn(kind):
    skipped = pushed(kind(0.1), 1e20, 1.0)
    clean = pushed(kind(0.1), 1.0)
    moved = [[np.subtract(*pair) for pair in zip(*run, strict=True)] for run in (skipped, clean)]
    for one, other in zip(*moved, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "dtype"),
    [
        (optimizers.SGD(1e-20), "float32"),
        (optimizers.Adam(0.1, clipnorm=1.0), "float32"),
        (optimizers.Adam(0.1, global_clipnorm=1.0), "float32"),
        (optimizers.RMSprop(0.1, clipvalue=1.0), "float32"),
        (optimizers.Adam(0.1), "float64"),
    ],
)
def test_where_they_are_limited_or_fit_the_step_is_done(optimizer, dtype):
    before, after = pushed(optimizer, 1e20, dtype=dtype)
    for one, other in zip(before, after, strict=True):
        assert np.isfinite(other).all()
        assert (one != other).all()


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_a_limit_that_would_be_zero_is_refused(clip):
    with pytest.raises(ValueError, match=rf"{clip}: expected a number of at least 2\*\*-126"):
        optimizers.SGD(**{clip: 1e-40})
