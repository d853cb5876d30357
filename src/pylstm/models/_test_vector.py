"""The test vector of a model file: a drawn input and what the model computed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core
from pylstm._core import ModelFileError
from pylstm.layers import Embedding
from pylstm.models._training import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TEST_ROWS, _TEST_STEPS, _TEST_VALUES = 4, 16, 1 << 16
_TOLERANCE = 1e-3


def _has_steps(model: Trainer) -> bool:
    return len(model.input_shape) == 3 or _token_count(model) > 0


def _token_count(model: Trainer) -> int:
    """Number of token ids that the model reads; 0 if it reads features."""
    first = model.layers[0]
    return first.input_dim if isinstance(first, Embedding) else 0


def test_input(model: Trainer) -> NDArray[Any]:
    """A few rows drawn from the generator; few enough for a small output."""
    sizes = [_TEST_ROWS, *(size or 1 for size in model.input_shape[1:])]
    if _has_steps(model):
        width = model.output_shape[-1] or 1
        steps = max(1, min(_TEST_STEPS, _TEST_VALUES // (_TEST_ROWS * width)))
        sizes[1] = min(steps, model.input_shape[1] or steps)
    drawn = _core.initialize("uniform", tuple(sizes), 0.0, 1.0, 0, 0)
    tokens = _token_count(model)
    if tokens:
        return np.minimum(drawn * tokens, tokens - 1).astype(np.int32)
    return (2.0 * drawn - 1.0).astype(model.dtype)


def test_output(model: Trainer, test: NDArray[Any]) -> NDArray[Any]:
    """The model's output for the test input, from zero states; carried states are left alone."""
    return model._network().call(test)[0]


def check_test_vector(model: Trainer, tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ModelFileError unless the model computes the file's test output."""
    if "test/input" not in tensors or "test/output" not in tensors:
        raise ModelFileError("the test vector is missing")
    test, expected = tensors["test/input"], tensors["test/output"]
    shape = model.input_shape
    if _has_steps(model):
        shape = (None, None, *shape[2:])
    _checks.inputs(_checks.array("test/input", test), shape)
    if len(test) > _TEST_ROWS or (_has_steps(model) and test.shape[1] > _TEST_STEPS):
        raise ModelFileError(f"the test vector is too large: {test.shape}")
    got = test_output(model, test)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 1.0
    if got.shape != expected.shape or not np.allclose(
        got, expected, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True
    ):
        raise ModelFileError("the model does not compute what it did when it was saved")
