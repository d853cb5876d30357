"""Loading models: damaged and hostile files are refused."""

import json

import numpy as np
import pytest
from models import IDS, NEXT, fit, many_layers

import pylstm
from pylstm import ModelFileError, _core


def test_damage_is_found(tmp_path):
    model, path = many_layers(), tmp_path / "m"
    model.save(path)
    whole = path.read_bytes()
    for cut in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelFileError):
            pylstm.load_model(path)
    for at in (3, 40, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelFileError):
            pylstm.load_model(path)
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelFileError):
        pylstm.load_model(path)
    assert issubclass(ModelFileError, ValueError)


def rewrite(source, target, change):
    """Copy a file with `change(metadata, tensors)` applied; the digest is right again."""
    metadata, tensors = _core.read_model_file(str(source))
    contents = dict(tensors)
    change(metadata, contents)
    _core.write_model_file(str(target), metadata, list(contents.items()))


def test_a_model_that_computes_something_else_is_refused(tmp_path):
    model = many_layers()
    model.save(tmp_path / "m")

    def change(metadata, tensors):
        tensors["dense/kernel"] = tensors["dense/kernel"] * np.float32(1.5)

    rewrite(tmp_path / "m", tmp_path / "changed", change)
    with pytest.raises(ModelFileError, match="does not compute"):
        pylstm.load_model(tmp_path / "changed")
    assert pylstm.load_model(tmp_path / "changed", verify=False).built


def config(metadata, edit):
    value = json.loads(metadata["config"])
    edit(value)
    metadata["config"] = json.dumps(value)


def in_config(edit):
    return lambda metadata, tensors: config(metadata, edit)


def in_layer(index, **changes):
    def edit(value):
        value["layers"][index]["config"].update(changes)

    return in_config(edit)


def in_text(key, text):
    return lambda metadata, tensors: metadata.update({key: text})


def in_json(key, **changes):
    def change(metadata, tensors):
        metadata[key] = json.dumps({**json.loads(metadata[key]), **changes})

    return change


def without(key):
    return lambda metadata, tensors: metadata.pop(key)


def tensor(name, value):
    return lambda metadata, tensors: tensors.update({name: value})


def in_float64(value):
    value["dtype"] = "float64"
    for layer in value["layers"]:
        del layer["config"]["dtype"]


HOSTILE = {
    "no config": without("config"),
    "no state": without("state"),
    "config is no JSON": in_text("config", "{"),
    "config is a list": in_text("config", "[]"),
    "config is deep": in_text("config", '{"layers":' + "[" * 5000 + "]" * 5000 + "}"),
    "config is empty": in_text("config", "{}"),
    "huge number": in_text("config", '{"layers": [], "name": ' + "9" * 5000 + "}"),
    "no layers": in_config(lambda c: c.update(layers=[])),
    "layers is a dict": in_config(lambda c: c.update(layers={})),
    "layer is a string": in_config(lambda c: c.update(layers=["LSTM"])),
    "unknown class": in_config(lambda c: c["layers"][0].update(class_name="Lambda")),
    "imported class": in_config(lambda c: c["layers"][0].update(class_name="os.system")),
    "private class": in_config(lambda c: c["layers"][0].update(class_name="Layer")),
    "class is a list": in_config(lambda c: c["layers"][0].update(class_name=["LSTM"])),
    "unknown key": in_config(lambda c: c.update(module="os")),
    "unknown dtype": in_config(lambda c: c.update(dtype="float16")),
    "other dtype": in_config(in_float64),
    "no shape": in_config(lambda c: c.update(build_input_shape=[None, -1])),
    "shape of another rank": in_config(lambda c: c.update(build_input_shape=[None, 3, 3])),
    "shape is text": in_config(lambda c: c.update(build_input_shape="abc")),
    "huge table": in_layer(0, input_dim=2**60),
    "huge vectors": in_layer(0, output_dim=10**40),
    "negative size": in_layer(0, output_dim=-5),
    "size is a float": in_layer(0, output_dim=5.0),
    "size is true": in_layer(0, output_dim=True),
    "more units": in_layer(2, units=5),
    "units is text": in_layer(2, units="4"),
    "rate is NaN": in_layer(3, rate=float("nan")),
    "rate is infinite": in_layer(3, rate=1e999),
    "layer has a method": in_layer(2, __init__=1),
    "layer has weights": in_layer(0, weights=[[1.0]]),
    "layer has a shape": in_layer(0, input_shape=[3]),
    "name is a path": in_layer(2, name="../../etc/passwd"),
    "name is empty": in_layer(2, name=""),
    "name is taken": in_layer(2, name="dense"),
    "activation is code": in_layer(4, activation="__import__('os')"),
    "initializer is a class": in_layer(4, kernel_initializer={"class_name": "object"}),
    "initializer's name is a number": in_layer(
        4, kernel_initializer={"class_name": "Initializer", "custom": 3}
    ),
    "initializer is private": in_layer(4, kernel_initializer={"class_name": "ForgetBias"}),
    "initializer is bad": in_layer(4, kernel_initializer={"class_name": "zeros", "config": [1]}),
    "bidirectional of dense": in_layer(1, layer={"class_name": "Dense", "config": {"units": 3}}),
    "bidirectional of nothing": in_layer(1, layer=None),
    "tensor of another shape": tensor("dense/bias", np.zeros(8, "f4")),
    "tensor of another type": tensor("dense/bias", np.zeros(9, "f8")),
    "tensor is missing": lambda metadata, tensors: tensors.pop("lstm/bias"),
    "tensor too many": tensor("other", np.zeros(3, "f4")),
    "slot of another shape": tensor("optimizer/dense/bias/momentum", np.zeros(8, "f4")),
    "slot is missing": lambda metadata, tensors: [
        tensors.pop(name) for name in list(tensors) if name.startswith("optimizer/dense/bias")
    ],
    "slot of another type": tensor("optimizer/dense/bias/momentum", np.zeros(9, "i4")),
    "carried state of no mode": tensor("state/x/0", np.zeros((1, 4), "f4")),
    "carried state of another type": tensor("state/fit/0", np.zeros((1, 4), "i4")),
    "no test input": lambda metadata, tensors: tensors.pop("test/input"),
    "test input too long": tensor("test/input", np.zeros((4, 1000), "i4")),
    "test input too many": tensor("test/input", np.zeros((1000, 4), "i4")),
    "test input out of range": tensor("test/input", np.full((4, 16), 9, "i4")),
    "test input of another rank": tensor("test/input", np.zeros((4, 16, 2), "i4")),
    "test output of another shape": tensor("test/output", np.zeros((4, 16, 8), "f4")),
    "state is a list": in_text("state", "[1]"),
    "seed is negative": in_json("state", seed=-1),
    "seed is text": in_json("state", seed="1"),
    "epochs is missing": in_text("state", '{"seed": 1}'),
    "iterations is a float": in_json("state", iterations=1.5),
    "compile is a list": in_text("compile", "[]"),
    "compile is empty": in_text("compile", "{}"),
    "unknown optimizer": in_json("compile", optimizer={"class_name": "Lion", "config": {}}),
    "optimizer of another kind": in_json("compile", optimizer={"class_name": "SGD", "config": 3}),
    "optimizer argument": in_json("compile", optimizer={"class_name": "SGD", "config": {"x": 1}}),
    "unknown loss": in_json("compile", loss={"class_name": "FunctionLoss", "config": {}}),
    "unknown metric": in_json("compile", metrics=[{"class_name": "FunctionMetric"}]),
    "name is a number": in_json("compile", loss={"class_name": "FunctionLoss", "custom": 3}),
    "foreign class with a name": in_json(
        "compile", loss={"class_name": "os.system", "custom": "f", "config": {}}
    ),
    "metric's name is a list": in_json("compile", metrics=[{"class_name": "Metric", "custom": []}]),
    "metric in place of the loss": in_json(
        "compile", loss={"class_name": "Metric", "custom": "f", "config": {}}
    ),
    "loss among the metrics": in_json(
        "compile", metrics=[{"class_name": "FunctionLoss", "custom": "f", "config": {}}]
    ),
    "config of the user's is a number": in_json(
        "compile", metrics=[{"class_name": "FunctionMetric", "custom": "f", "config": 3}]
    ),
    "metrics is text": in_json("compile", metrics="acc"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(tmp_path, change):
    model = many_layers()
    fit(model, IDS, NEXT)
    model.save(tmp_path / "m")
    rewrite(tmp_path / "m", tmp_path / "hostile", change)
    for given in ({}, {"f": len}):
        with pytest.raises(ModelFileError, match="hostile"):
            pylstm.load_model(tmp_path / "hostile", given)
