"""A model for callbacks to watch, and as much of one as they need."""

import numpy as np

import pylstm
from pylstm import Sequential, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5, 3))
Y = RNG.normal(size=(20, 2))


def model(rate=0.1, **kwargs):
    pylstm.set_seed(3)
    net = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    net.compile(optimizers.SGD(rate), "mse", **kwargs)
    return net


def fit(net, *used, **kwargs):
    settings = {"batch_size": 5, "epochs": 2, "verbose": 0, "callbacks": list(used), **kwargs}
    return net.fit(X, Y, **settings)


class Fake:
    """As much of a model as a callback needs."""

    def __init__(self, rate=1.0):
        self.optimizer = optimizers.SGD(rate)
        self.stop_training = False
        self.weights = 0

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights


def feed(callback, values, name="val_loss", fake=None):
    """The epochs that a callback lets run when its value goes like `values`."""
    fake = fake or Fake()
    callback.set_model(fake)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        fake.weights = epoch
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {name: value})
        if fake.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, fake
