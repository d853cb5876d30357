"""`evaluate` beside a thread that compiles: what was asked for, or an error, and no mixture."""

import threading

import numpy as np
import pytest

from pylstm import Sequential, layers

X = np.random.default_rng(0).random((2000, 5, 3), np.float32)
Y = np.random.default_rng(1).random((2000, 1), np.float32)
WAYS = [("mse", ["mae"]), ("mae", ["mse"])]


def model():
    net = Sequential([layers.Input((None, 3)), layers.LSTM(8), layers.Dense(1)])
    net.compile("sgd", *WAYS[0][:1], metrics=WAYS[0][1])
    return net


def test_values_are_those_of_one_compile():
    net, good = model(), []
    for loss, metrics in WAYS:
        net.compile("sgd", loss, metrics=metrics)
        good.append(net.evaluate(X, Y, batch_size=32, verbose=0, return_dict=True))
    found, told, over = [], set(), threading.Event()

    def work():
        while not over.is_set():
            try:
                found.append(net.evaluate(X, Y, batch_size=32, verbose=0, return_dict=True))
            except RuntimeError as error:
                told.add(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(found) < 100:
        for loss, metrics in WAYS:
            net.compile("sgd", loss, metrics=metrics)
            threading.Event().wait(0.002)
    over.set()
    for thread in threads:
        thread.join()
    assert told <= {"the model was compiled again during this call"}
    assert all(any(values == pytest.approx(one) for one in good) for values in found)


def test_a_compile_between_two_parts_of_an_evaluation_is_told():
    class Compiles:
        def __init__(self, net):
            self.net, self.left = net, 1

        def __iter__(self):
            for first in range(0, len(X), 500):
                if first and self.left:
                    self.left -= 1
                    thread = threading.Thread(target=lambda: self.net.compile("sgd", "mae"))
                    thread.start()
                    thread.join()
                yield X[first : first + 500], Y[first : first + 500]

    net = model()
    with pytest.raises(RuntimeError, match="compiled again during this call"):
        net.evaluate(Compiles(net), verbose=0)
    assert net.evaluate(X, Y, verbose=0) > 0
