"""Names that a user of Keras may reach for: a suggestion of another one would mislead."""

import re
from collections.abc import Iterable

ONLY_KERAS = frozenset(
    {
        "activations",
        "adadelta",
        "adafactor",
        "adagrad",
        "adamax",
        "alpha_dropout",
        "auc",
        "binary_focal_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_hinge",
        "celu",
        "cosine_similarity",
        "ctc",
        "dice",
        "elu",
        "exponential",
        "f1_score",
        "fbeta_score",
        "ftrl",
        "gaussian_dropout",
        "gelu",
        "glu",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "hinge",
        "huber",
        "kl_divergence",
        "kld",
        "lamb",
        "leaky_relu",
        "lion",
        "log_cosh",
        "log_softmax",
        "loss_scale_optimizer",
        "mape",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "mish",
        "msle",
        "muon",
        "nadam",
        "poisson",
        "precision",
        "r2_score",
        "recall",
        "relu6",
        "rmse",
        "root_mean_squared_error",
        "selu",
        "silu",
        "softplus",
        "softsign",
        "sparse_top_k_categorical_accuracy",
        "squared_hinge",
        "swish",
        "top_k_categorical_accuracy",
        "tversky",
    }
)

_NOTHING = "nothing stands for it yet"
_DENSE = "layers.Dense has the argument activation"
_LSTM = "layers.LSTM is the recurrent layer here"
_METRIC = "a metric may be a function, or a subclass of metrics.Metric"
_SHAPE = "shape the arrays with NumPy before fit; " + _NOTHING
_PAD = "pylstm.utils.pad_sequences is it"
_RATE = "callbacks.LearningRateScheduler takes any function of the epoch"

INSTEAD = {
    "Activation": _DENSE,
    "AUC": _METRIC,
    "Add": _SHAPE,
    "AdditiveAttention": _NOTHING,
    "Attention": _NOTHING,
    "AveragePooling1D": _NOTHING,
    "BackupAndRestore": "callbacks.ModelCheckpoint stores what a fit needs to go on, but for "
    "the counts of other callbacks",
    "BatchNormalization": _NOTHING,
    "Concatenate": _SHAPE,
    "Conv1D": _NOTHING,
    "Conv2D": _NOTHING,
    "ConvLSTM1D": _LSTM,
    "F1Score": _METRIC,
    "Flatten": _SHAPE,
    "Functional": "models are a stack of layers: pylstm.Sequential",
    "GRU": _LSTM,
    "GRUCell": _LSTM,
    "GaussianNoise": "layers.Dropout is the noise here",
    "GlobalAveragePooling1D": _NOTHING,
    "GlobalMaxPooling1D": _NOTHING,
    "Lambda": _SHAPE,
    "LayerNormalization": _NOTHING,
    "MaxPooling1D": _NOTHING,
    "Model": "models are a stack of layers: pylstm.Sequential",
    "MultiHeadAttention": _NOTHING,
    "Permute": _SHAPE,
    "Precision": _METRIC,
    "ReLU": _DENSE,
    "Recall": _METRIC,
    "RepeatVector": _NOTHING,
    "Reshape": _SHAPE,
    "SimpleRNN": _LSTM,
    "SimpleRNNCell": _LSTM,
    "Softmax": _DENSE,
    "SpatialDropout1D": "layers.Dropout leaves out single values",
    "StackedRNNCells": "a stack of layers.LSTM with return_sequences=True does the same",
    "TensorBoard": "callbacks.CSVLogger, or a callbacks.Callback of yours",
    "TimeDistributed": "layers.Dense and layers.Dropout act on every step as they are",
    "TopKCategoricalAccuracy": _METRIC,
    "clone_model": "Sequential.from_config(model.get_config()) makes a new one like it",
    "ops": "losses and metrics of yours are NumPy",
    "pad_sequences": _PAD,
    "preprocessing": "utils.pad_sequences pads rows; map words to integers yourself",
    "regularizers": "the optimizers have weight_decay",
    "schedules": _RATE,
    "set_random_seed": "it is pylstm.set_seed",
    "to_categorical": "losses.SparseCategoricalCrossentropy takes integer labels",
}
"""By names that Keras has and pylstm has not, or not there: what to do."""

_INSTEAD_IN = {
    "pylstm.losses": "a loss may be a function that returns the mean over the batch and its "
    "gradient",
    "pylstm.metrics": _METRIC,
    "pylstm.optimizers": "Adam, AdamW, RMSprop and SGD are the optimizers here",
}
"""By modules: what to do without other names of `ONLY_KERAS`."""


def no_attribute(module: str, name: str, known: Iterable[str] = ()) -> AttributeError:
    """The error for an attribute that a module does not have.

    It tells what to do without what only Keras has, and suggests the nearest of `known`.
    """
    if name in INSTEAD:
        return AttributeError(f"{module} lacks {name!r}, which Keras has: {INSTEAD[name]}")
    if snake_case(name) in ONLY_KERAS:
        way = _INSTEAD_IN.get(module, _NOTHING)
        return AttributeError(f"{module} lacks {name!r}, which Keras has: {way}")
    suggestion = nearest(name, known)
    return AttributeError(f"module {module!r} has no attribute {name!r}{suggestion}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message: the nearest of `known`, if one is near."""
    from difflib import get_close_matches

    by_lower = {word.lower(): word for word in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""


def snake_case(name: str) -> str:
    """The name of a Keras class as its function is called."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
