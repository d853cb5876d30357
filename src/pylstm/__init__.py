"""pylstm: the LSTM library for CPUs.

>>> import numpy as np
>>> import pylstm
>>> model = pylstm.Sequential([pylstm.layers.LSTM(8), pylstm.layers.Dense(1)])
>>> model.compile(optimizer="adam", loss="mse")
>>> history = model.fit(np.zeros((32, 10, 3)), np.zeros(32), epochs=2, verbose=0)
>>> model.predict(np.zeros((4, 10, 3))).shape
(4, 1)
"""

from typing import TYPE_CHECKING, Any

from pylstm import _core, initializers, layers, losses, metrics, models, optimizers
from pylstm._core import ModelFileError
from pylstm._keras_names import no_attribute
from pylstm._runtime import (
    active_isa,
    available_isas,
    get_num_threads,
    meet_threadpoolctl,
    set_num_threads,
    set_seed,
    show_config,
    use_isa,
)
from pylstm.layers import Input
from pylstm.models import Sequential
from pylstm.saving import load_model

meet_threadpoolctl()
vars(models)["load_model"] = load_model  # where Keras has it too

__version__ = _core.build_info()["version"]

__all__ = [
    "Input",
    "ModelFileError",
    "Sequential",
    "__version__",
    "active_isa",
    "available_isas",
    "callbacks",
    "get_num_threads",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "set_num_threads",
    "set_seed",
    "show_config",
    "use_isa",
    "utils",
]


if TYPE_CHECKING:
    from pylstm import callbacks, utils
else:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        # Imported when used, which many programs never do.
        if name == "callbacks":
            import pylstm.callbacks as module

            return module
        if name == "utils":
            import pylstm.utils as module

            return module
        for module in (layers, losses, metrics, optimizers, initializers):
            thing = vars(module).get(name)
            if isinstance(thing, type) and thing.__module__.startswith(module.__name__):
                raise AttributeError(f"pylstm lacks {name!r}: it is {module.__name__}.{name}")
        raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({name for name in globals() if name.startswith("__")} | {*__all__})
