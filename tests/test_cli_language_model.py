"""The language model of the command line: how it is measured, scheduled and sampled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pylstm
from pylstm import Sequential
from pylstm.cli import _language_model
from pylstm.cli._language_model import Settings

TEXT = "Grüße aus Köln — the quick brown fox. " * 5


def stateful_model(units: int = 8) -> Sequential:
    pylstm.set_seed(3)
    return _language_model.build(Settings(units=units, embedding=4))


@pytest.mark.parametrize("size", [1, 9, 10, 11, 55])
def test_held_out_bytes_are_each_predicted_once_by_one_running_state(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.encode()[:size]
    model = stateful_model()
    monkeypatch.setattr(_language_model, "EVALUATION_STEPS", 10)
    bits = _language_model.bits_per_byte(model, 65, text)
    whole = _language_model.for_use(model)
    probabilities = whole.predict(np.frombuffer(b"A" + text[:-1], np.uint8)[None], verbose=0)[0]
    expected = -np.log2(probabilities[np.arange(size), list(text)].astype(float)).mean()
    # the loss comes from logits and is summed by window: some float32 roundings of 8 bits
    assert bits == pytest.approx(expected, rel=1e-5)


def test_long_held_out_text_is_read_in_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXT.encode()[:103]
    model = stateful_model()
    monkeypatch.setattr(_language_model, "STREAM_BYTES", 25)  # 4 streams of 25 and a rest of 3
    bits = _language_model.bits_per_byte(model, 65, text)
    monkeypatch.undo()
    before = b"A" + text
    cuts = [0, 25, 50, 75, 100, 103]
    parts = [
        _language_model.bits_per_byte(model, before[a], text[a:b]) * (b - a)
        for a, b in itertools.pairwise(cuts)
    ]
    assert bits == pytest.approx(sum(parts) / 103, rel=1e-5)


def test_rate_decays_from_the_first_epoch_to_the_last() -> None:
    settings = Settings(epochs=10, learning_rate=1.0)
    rates = [settings.rate(epoch) for epoch in range(10)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.9
    assert 0.0 < rates[-1] < 0.1
    assert Settings(epochs=1, learning_rate=1.0).rate(0) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [0, 1, 17])
def test_generate_writes_as_many_bytes_as_asked(count: int) -> None:
    text = _language_model.generate(stateful_model(), b"x", count, temperature=1.0, seed=1)
    assert len(text) == count


def test_prompt_of_any_bytes_is_accepted() -> None:
    model = stateful_model()
    assert len(_language_model.generate(model, bytes(range(256)), 3, temperature=1.0)) == 3
