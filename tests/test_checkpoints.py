"""ModelCheckpoint: what it saves when, under which names, and what it refuses."""

import math

import numpy as np
import pytest
from watched import Fake, feed, fit, model

import pylstm
from pylstm import callbacks


def test_checkpoints_have_the_names_and_the_weights_of_their_epochs(tmp_path):
    net, seen = model(), []
    save = callbacks.ModelCheckpoint(tmp_path / "m-{epoch:02d}-{loss:.2f}.safetensors")
    watch = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(net.get_weights()))
    history = fit(net, save, watch)
    names = [
        f"m-{i + 1:02d}-{loss:.2f}.safetensors" for i, loss in enumerate(history.history["loss"])
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name, weights in zip(names, seen, strict=True):
        loaded = pylstm.load_model(tmp_path / name)
        for a, b in zip(loaded.get_weights(), weights, strict=True):
            assert np.array_equal(a, b)


def test_the_best_checkpoint_stays(tmp_path):
    saved = []

    class Saves(Fake):
        def save(self, path, include_optimizer):
            saved.append((self.weights, include_optimizer))

    path = tmp_path / "best"
    feed(
        callbacks.ModelCheckpoint(path, save_best_only=True),
        [3, 4, 2, 2, math.nan, 1],
        fake=Saves(),
    )
    assert saved == [(0, True), (2, True), (5, True)]
    saved.clear()
    only = callbacks.ModelCheckpoint(
        path, save_best_only=True, save_weights_only=True, initial_value_threshold=2.5, mode="min"
    )
    feed(only, [3, 2, 4], fake=Saves())
    assert saved == [(1, False)]


def test_checkpoints_by_batches(tmp_path):
    net = model()
    fit(net, callbacks.ModelCheckpoint(tmp_path / "m{epoch}", save_freq=3))
    steps = [pylstm.load_model(tmp_path / f"m{i}").optimizer.iterations for i in (1, 2)]
    assert steps == [3, 6]
    fit(net, callbacks.ModelCheckpoint(tmp_path / "b{epoch}-{batch}", save_freq=2), epochs=1)
    assert sorted(path.name for path in tmp_path.glob("b*")) == ["b1-2", "b1-4"]


def test_a_checkpoint_that_cannot_be_saved_is_refused_early(tmp_path):
    for name in ("m.keras", "m-{epoch}.h5", "m.HDF5"):
        with pytest.raises(ValueError, match=r"filepath: pylstm writes \.safetensors"):
            callbacks.ModelCheckpoint(tmp_path / name)
    for name in ("m{}", "m{0}", "m{epoch", "m{epoch.real}"):
        with pytest.raises(ValueError, match="filepath"):
            callbacks.ModelCheckpoint(tmp_path / name)
    net = model()
    with pytest.raises(FileNotFoundError, match="filepath: there is no folder"):
        fit(net, callbacks.ModelCheckpoint(tmp_path / "nowhere" / "m"))
    assert net.optimizer.iterations == 0


def test_a_name_in_a_checkpoint_that_has_no_value(tmp_path):
    net = model()
    with (
        pytest.warns(RuntimeWarning, match="names acc, which neither loss nor metrics give"),
        pytest.raises(ValueError, match="names 'acc', which is not in logs: loss"),
    ):
        fit(net, callbacks.ModelCheckpoint(tmp_path / "m{acc}"), epochs=2)
    threshold = callbacks.ModelCheckpoint(
        tmp_path / "m{val_loss}", "loss", save_best_only=True, initial_value_threshold=-1.0
    )
    with pytest.raises(ValueError, match="names 'val_loss'"):  # also where no save is due
        fit(net, threshold)
    assert not list(tmp_path.iterdir())
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(f1=0.5))
    with pytest.warns(RuntimeWarning, match="names f1"):
        fit(net, note, callbacks.ModelCheckpoint(tmp_path / "m{f1}"))
    assert [path.name for path in tmp_path.iterdir()] == ["m0.5"]


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_methods_of_a_checkpoint_of_ones_own_are_called_for_batches(save_freq, tmp_path):
    class Counting(callbacks.ModelCheckpoint):
        batches = 0

        def on_batch_end(self, batch, logs=None):
            self.batches += 1

    counting = Counting(tmp_path / "m.safetensors", save_freq=save_freq)
    fit(model(), counting, epochs=2)
    assert counting.batches == 8
    assert (tmp_path / "m.safetensors").exists()
