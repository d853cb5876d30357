"""One batch at a time: the arguments of `train_on_batch` and `test_on_batch`; no rows at a time."""

import numpy as np
import pytest
from models import IDS, NEXT, X, Y, language, regression, same

from pylstm import optimizers

WEIGHTS = np.linspace(0, 2, len(IDS))
PER_STEP = np.linspace(0, 2, IDS.size).reshape(IDS.shape)


def model():
    return language(optimizer=optimizers.SGD(0.1), metrics=["accuracy"])


@pytest.mark.parametrize("weights", [None, WEIGHTS, PER_STEP], ids=["none", "rows", "steps"])
def test_a_tested_batch_is_an_evaluation(weights):
    one = model()
    expected = one.evaluate(IDS, NEXT, batch_size=len(IDS), sample_weight=weights, verbose=0)
    assert one.test_on_batch(IDS, NEXT, sample_weight=weights) == expected
    found = one.test_on_batch(IDS, NEXT, sample_weight=weights, return_dict=True)
    assert found == dict(zip(["loss", "accuracy"], expected, strict=True))


@pytest.mark.parametrize(
    "weights",
    [{}, {"sample_weight": WEIGHTS}, {"sample_weight": PER_STEP}, {"class_weight": {1: 3.0, 4: 0}}],
    ids=["none", "rows", "steps", "classes"],
)
def test_a_trained_batch_is_a_fit_of_one_step(weights):
    a, b = model(), model()
    fitted = a.fit(IDS, NEXT, batch_size=len(IDS), shuffle=False, verbose=0, **weights).history
    found = b.train_on_batch(IDS, NEXT, return_dict=True, **weights)
    assert found == {name: values[0] for name, values in fitted.items()}
    assert same(a, b)
    assert model().train_on_batch(IDS, NEXT, **weights) == [found["loss"], found["accuracy"]]


def test_a_model_without_metrics_gives_its_loss():
    one = regression()
    loss = one.test_on_batch(X, Y)
    assert isinstance(loss, float)
    assert one.test_on_batch(X, Y, return_dict=True) == {"loss": loss}


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_batch_of_0_is_refused(method):
    data = (X,) if method == "predict" else (X, Y)
    with pytest.raises(ValueError, match=r"batch_size: .*at least 1, got 0"):
        getattr(regression(), method)(*data, batch_size=0)
