"""Sequential: building, layers, copies, summary, calling and generating."""

import copy
import gc
import json
import pickle
import weakref

import numpy as np
import pytest
from helpers import all_same_bits as same
from models import token_model, tokens

import pylstm
from pylstm import Sequential, layers

# ---- building


def test_the_shape_of_the_input_builds_the_model():
    deferred = Sequential([layers.LSTM(4), layers.Dense(2)])
    assert not deferred.built
    with pytest.raises(ValueError, match="not built"):
        deferred.count_params()
    deferred.predict(np.zeros((3, 5, 2)))
    assert deferred.built
    assert deferred.input_shape == (None, None, 2)
    assert deferred.output_shape == (None, 2)

    assert Sequential([layers.Embedding(9, 3)]).built
    assert Sequential([layers.Input((None, 3)), layers.LSTM(4)]).built
    assert Sequential([layers.LSTM(4, input_shape=(10, 3))]).input_shape == (None, 10, 3)
    model = Sequential([layers.Dense(4)])
    model.build((None, 7))
    assert model.count_params() == 7 * 4 + 4
    with pytest.raises(ValueError, match="built for"):
        model.build((None, 8))
    model = Sequential([layers.Embedding(9, 3), layers.LSTM(2)])
    model.build((None, 12))
    assert model.input_shape == (None, 12)
    for steps in (13, None):  # an open number of steps would not be one of this model
        with pytest.raises(ValueError, match="built for"):
            model.build((None, steps))
    model = Sequential([layers.LSTM(4)])
    with pytest.raises(RuntimeError, match=r"part of <Sequential .*: build that"):
        model.layers[0](np.zeros((1, 2, 3)))


def test_any_number_of_steps_fits_an_open_shape_only():
    model = Sequential([layers.Input((None, 2)), layers.LSTM(3)])
    assert model.predict(np.zeros((1, 4, 2))).shape == model.predict(np.zeros((1, 9, 2))).shape
    fixed = Sequential([layers.Input((4, 2)), layers.LSTM(3)])
    fixed.predict(np.zeros((1, 4, 2)))
    with pytest.raises(ValueError, match=r"x: expected shape \(rows, 4, 2\), got \(1, 9, 2\)"):
        fixed.predict(np.zeros((1, 9, 2)))


def test_the_sample_of_the_documentation_runs():
    vocab_size, embedding_dim = 12, 6
    x_train = np.random.default_rng(0).integers(0, vocab_size, (20, 5))
    y_train = np.eye(vocab_size)[x_train]
    # fmt: off
    lstm_cell = pylstm.layers.LSTMCell(units=128)
    lstm_layer = pylstm.layers.RNN(lstm_cell, return_sequences=True)
    model = pylstm.Sequential([
        pylstm.layers.Embedding(input_dim=vocab_size, output_dim=embedding_dim),
        lstm_layer,
        pylstm.layers.Dense(units=vocab_size, activation='softmax')
    ])
    model.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])
    # fmt: on
    history = model.fit(x_train, y_train, epochs=10)
    assert history.history["loss"][-1] < history.history["loss"][0]


# ---- layers


def test_layers_are_named_as_in_keras():
    model = Sequential([layers.Input((None, 2))])
    for _ in range(3):
        model.add(layers.LSTM(2, return_sequences=True))
    model.add(layers.Dense(1, name="head"))
    assert [layer.name for layer in model.layers] == ["lstm", "lstm_1", "lstm_2", "head"]
    assert [v.path for v in model.weights][:3] == [
        "lstm/kernel",
        "lstm/recurrent_kernel",
        "lstm/bias",
    ]
    with pytest.raises(ValueError, match="'head' already"):
        model.add(layers.Dense(1, name="head"))


def test_get_layer():
    model = token_model()
    assert model.get_layer("lstm") is model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match="did you mean 'lstm'"):
        model.get_layer("lstn")
    with pytest.raises(ValueError, match="3 layers"):
        model.get_layer(index=3)
    with pytest.raises(ValueError, match="either"):
        model.get_layer()


def test_layers_that_do_not_fit_are_refused_and_nothing_changes():
    model = Sequential([layers.Input((None, 2)), layers.LSTM(3)])
    before = model.get_config()
    for bad, error, match in [
        (layers.LSTM(3), ValueError, "return_sequences=True"),
        (layers.Embedding(4, 4), ValueError, "first layer"),
        (layers.LSTM(3, return_state=True), ValueError, "more than one output"),
        (layers.Dense(2, dtype="float64"), ValueError, "float64"),
        (model.layers[0], ValueError, "belongs to a model"),
        ("lstm", TypeError, "expected a pylstm layer"),
        (layers.Input((3,)), ValueError, "first thing"),
    ]:
        with pytest.raises(error, match=match):
            model.add(bad)
    assert model.get_config() == before


def test_adding_and_popping_keeps_the_weights_of_the_other_layers():
    model = token_model()
    model.fit(tokens(), tokens(seed=1), verbose=0)
    before, expected = model.get_weights(), model.predict(tokens())
    head = model.pop()
    assert model.output_shape == (None, None, 6)
    assert same(model.get_weights(), before[:4])
    assert same(head.get_weights(), before[4:])
    model.add(layers.LSTM(6, return_sequences=True))
    model.pop()
    model.add(head)
    assert np.array_equal(model.predict(tokens()), expected)
    model.fit(tokens(), tokens(seed=1), verbose=0)  # still compiled


def test_a_popped_layer_takes_its_weights_to_another_model():
    first = Sequential([layers.Input((4,)), layers.Dense(3)])
    weights = first.get_weights()
    layer = first.pop()
    second = Sequential([layer])
    assert same(second.predict(np.eye(4)), np.eye(4, dtype="f4") @ weights[0] + weights[1])
    third = Sequential([layers.Input((5,)), layers.Dense(4)])
    with pytest.raises(ValueError, match="has weights for 4 features"):
        Sequential([layers.Input((5,))]).add(second.pop())
    assert third.count_params() == 24


def test_a_layer_outlives_its_model():
    weights = token_model().layers[1].get_weights()
    assert weights == []  # never needed, never drawn
    model = token_model()
    expected = model.get_weights()[1:4]
    layer = model.layers[1]
    del model
    assert same(layer.get_weights(), expected)


def test_a_model_that_is_dropped_is_freed_at_once():
    gc.disable()  # no help from the collector: there are no cycles
    try:
        model = token_model()
        model.fit(tokens(), tokens(), validation_split=0.5, verbose=0)
        model.layers[1](np.zeros((1, 2, 5)))
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()


# ---- configuration and copies


def test_the_configuration_makes_the_same_architecture():
    model = Sequential(
        [
            layers.Input((None, 3)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.1)),
            layers.Dropout(0.2, seed=3),
            layers.LSTM(5, go_backwards=True, use_bias=False, stateful=True),
            layers.Dense(2, activation="tanh", trainable=False),
        ],
        name="net",
        dtype="float64",
    )
    config = json.loads(json.dumps(model.get_config()))
    again = Sequential.from_config(config)
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]
    with pytest.raises(TypeError, match="colour"):
        Sequential.from_config({**config, "colour": 1})


@pytest.mark.parametrize(
    "duplicate",
    [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_copy_trains_on_bitwise_and_alone(duplicate):
    model = token_model()
    model.fit(tokens(20), tokens(20, seed=1), batch_size=4, verbose=0)
    twin = duplicate(model)
    assert twin.get_config() == model.get_config()
    before = twin.get_weights()
    assert same(before, model.get_weights())
    model.fit(tokens(20), tokens(20, seed=1), batch_size=4, verbose=0)
    assert same(before, twin.get_weights())
    twin.optimizer.learning_rate = 0.001
    assert twin.optimizer is not model.optimizer
    twin.fit(tokens(20), tokens(20, seed=1), batch_size=4, verbose=0)
    assert same(twin.get_weights(), model.get_weights())


def test_models_that_are_not_built_can_be_copied():
    twin = pickle.loads(pickle.dumps(Sequential([layers.LSTM(4), layers.Dense(2)])))
    assert twin.predict(np.zeros((2, 3, 5))).shape == (2, 2)


# ---- summary


def test_the_summary_is_kerass_table(capsys):
    model = Sequential([layers.Input((12, 3)), layers.LSTM(4), layers.Dense(2)])
    model.layers[1].trainable = False
    model.summary(line_length=60)
    assert capsys.readouterr().out == (
        'Model: "sequential"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓\n"
        "┃ Layer (type)             ┃ Output Shape       ┃   Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩\n"
        "│ lstm (LSTM)              │ (None, 4)          │       128 │\n"
        "├──────────────────────────┼────────────────────┼───────────┤\n"
        "│ dense (Dense)            │ (None, 2)          │        10 │\n"
        "└──────────────────────────┴────────────────────┴───────────┘\n"
        " Total params: 138 (552.00 B)\n"
        " Trainable params: 128 (512.00 B)\n"
        " Non-trainable params: 10 (40.00 B)\n"
    )


def test_the_summary_of_an_unbuilt_model_and_of_a_trained_one():
    seen = []
    Sequential([layers.LSTM(4)]).summary(print_fn=seen.append)
    assert "?" in seen[0]
    assert "0 (unbuilt)" in seen[0]
    model = token_model()
    model.fit(tokens(), tokens(), verbose=0)
    model.summary(print_fn=seen.append)
    count = model.count_params()
    assert f"Optimizer params: {2 * count + 2:,} " in seen[1]
    assert f"Total params: {3 * count + 2:,} " in seen[1]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"positions": [0.5, 1.0]}, ValueError, "positions: expected 3 numbers, .* a list of 2"),
        ({"positions": [0.5, 0.4, 1.0]}, ValueError, "positions: expected rising numbers"),
        ({"line_length": "x"}, TypeError, "line_length"),
        ({"line_length": 0}, ValueError, "line_length"),
        ({"layer_range": ["lstm"]}, TypeError, "layer_range: .* names of two layers"),
        ({"layer_range": ["dense", "embedding"]}, ValueError, "layer_range: 'dense' comes after"),
    ],
)
def test_the_summary_refuses_what_it_cannot_draw(arguments, error, match):
    with pytest.raises(error, match=match):
        token_model().summary(**arguments)


def test_the_columns_of_a_summary_are_where_they_are_told():
    seen = []
    for positions in ([0.5, 0.8, 1.0], [30, 48, 60]):  # shares, characters
        token_model().summary(line_length=60, positions=positions, print_fn=seen.append)
    assert seen[0] == seen[1]
    assert seen[0].splitlines()[1] == f"┏{'━' * 29}┳{'━' * 17}┳{'━' * 11}┓"


# ---- calling and generating


def test_calling_a_model_is_predicting():
    model = token_model()
    assert np.array_equal(model(tokens()), model.predict(tokens()))
    noisy = Sequential([layers.Input((50,)), layers.Dropout(0.5)])
    out = noisy(np.ones((4, 50)), training=True)
    assert set(np.unique(out)) == {0.0, 2.0}
    deferred = Sequential([layers.LSTM(3), layers.Dropout(0.5)])
    out = deferred(np.ones((40, 2, 5)), training=True)
    kept = out != 0
    assert 0 < kept.sum() < kept.size
    assert np.array_equal(out[kept], 2 * deferred(np.ones((40, 2, 5)))[kept])
    with pytest.raises(ValueError, match="x: expected"):
        deferred(np.ones((40, 2, 6)), training=True)


def test_generate_takes_the_likeliest_token_at_temperature_0():
    model = token_model()
    model.fit(tokens(30), tokens(30, seed=1), epochs=3, verbose=0)
    ids = [3, 1, 4]
    for _ in range(6):
        ids.append(int(model.predict(np.array([ids]))[0, -1].argmax()))
    new = model.generate([3, 1, 4], 6, temperature=0.0)
    assert new.tolist() == ids[3:]
    both = model.generate([[3, 1, 4], [3, 1, 4]], 6, temperature=0.0)
    assert both.tolist() == [ids[3:], ids[3:]]
    assert np.array_equal(model.generate([3, 1, 4], 20, top_k=1), model.generate([3, 1, 4], 20, 0))


def test_generate_refuses_weights_that_are_not_finite():
    body = [layers.Embedding(9, 3), layers.LSTM(4, return_sequences=True)]
    model = Sequential([*body, layers.Dense(9, activation="softmax")])
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    for temperature in (0.0, 1.0):
        with pytest.raises(RuntimeError, match=r"generate.*not finite"):
            model.generate([1], 3, temperature=temperature)


def test_generate_repeats_with_a_seed_and_stays_in_range():
    model = token_model()
    a, b, c = (model.generate(b"\x03\x01", 40, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.shape == (40,)
    assert 0 <= a.min() <= a.max() < 11
    assert model.generate([1], 0).shape == (0,)
