"""The engine: networks, random numbers, model files, run time. Private."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class ModelFileError(ValueError):
    """The file is not a whole, unaltered pylstm model file."""

def available_isas() -> list[str]:
    """Instruction sets compiled in and supported by this processor, best first."""

def active_isa() -> str:
    """The instruction set in use."""

def use_isa(name: str) -> None:
    """Use this instruction set from now on; ValueError if unknown or not supported here."""

def get_num_threads() -> int:
    """Threads that one call may use."""

def set_num_threads(n: int) -> None:
    """Set the threads that one call may use."""

def available_cores() -> int:
    """Processors that this process may use."""

def cgroup_folders(controller: str) -> list[bytes]:
    """Where the limits of this process's cgroups may be, its own first; some may not exist."""

def second_level_cache() -> int:
    """Bytes of a core's second-level cache; 0 if the system does not tell."""

def build_info() -> dict[str, str]:
    """version, compiler, thread_backend and isas of this build."""

def measure_peak(
    threads: int, seconds: float, is_double: bool = False, mean: bool = False
) -> float:
    """Floating-point operations a second that multiply-adds reach on the active instruction set.

    mean: of all the time, not of its best moment.
    """

def measure_issue_rate(threads: int, seconds: float, mean: bool = False) -> float:
    """Instructions a second that start if they wait for no data and no unit.

    mean: of all the time, not of its best moment.
    """

def measure_bandwidth(threads: int, bytes: int, seconds: float) -> float:
    """Bytes a second that reading a buffer of `bytes` bytes reaches."""

def initialize(
    kind: str, shape: tuple[int, ...], a: float, b: float, seed: int, stream: int
) -> NDArray[np.float64]:
    """Draw an array; `kind` is "uniform", "normal", "truncated_normal" or "orthogonal"."""

def permutation(n: int, seed: int, stream: int) -> NDArray[np.int64]:
    """A random order of 0 … n-1."""

def write_model_file(
    path: str, metadata: dict[str, str], tensors: list[tuple[str, NDArray[Any]]]
) -> None:
    """Write the file atomically."""

def read_model_file(
    path: str, verify: bool = True
) -> tuple[dict[str, str], list[tuple[str, NDArray[Any]]]]:
    """Read and check the file; ModelFileError if it is damaged or foreign."""

class Data:
    """The rows of one call; refers to the arrays, which are converted a batch at a time."""

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any] | None = None,
        sample_weight: NDArray[Any] | None = None,
        mask: NDArray[Any] | None = None,
    ) -> None: ...
    @property
    def rows(self) -> int:
        """Number of rows."""

    def totals(self) -> dict[str, tuple[float, float]]:
        """Sums and counts over the runs since `reset_totals`: loss, metrics, tokens, skipped."""

    def reset_totals(self) -> None:
        """Forget the totals."""

class Fitting:
    """A fit from `Network.start` until `finish`, the end of a `with` block, or nobody holds it."""

    def finish(self) -> None:
        """End the fit."""

    def __enter__(self) -> Fitting: ...
    def __exit__(self, *exception: object) -> None: ...

class Network:
    """Layers, parameters and plan; every layer's forward and backward lives here."""

    def __init__(self, config: str, input_shape: tuple[int, ...], dtype: str) -> None: ...
    @property
    def isa(self) -> str:
        """Instruction set of the packed weights."""

    @property
    def iterations(self) -> int:
        """Optimizer steps done."""

    @iterations.setter
    def iterations(self, value: int) -> None: ...
    def variables(self) -> list[tuple[str, tuple[int, ...], int]]:
        """(path, shape, layer index) in Keras' order."""

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the variables."""

    def set_weights(self, weights: list[NDArray[Any]]) -> None:
        """Replace all variables or none."""

    def set_trainable(self, flags: list[bool]) -> None:
        """One flag per variable."""

    def output_shape(self) -> tuple[int, ...]:
        """Shape of one row of the output; -1 where the length is unknown."""

    def layer_output_shapes(self) -> list[tuple[int, ...]]:
        """The same for each layer."""

    def compile(self, loss: str, optimizer: str) -> None:
        """Set loss and optimizer (JSON texts); new slots, iterations 0."""

    def set_learning_rate(self, lr: float) -> None:
        """Learning rate of the next step."""

    def get_slots(self) -> list[tuple[str, NDArray[Any]]]:
        """(path, copy) of the optimizer's slots."""

    def set_slots(self, slots: list[NDArray[Any]]) -> None:
        """Replace the optimizer's slots."""

    def set_metrics(self, names: list[str]) -> None:
        """Metrics counted by `run`."""

    def set_seed(self, seed: int) -> None:
        """Seed of dropout."""

    def check(self, data: Data, mode: str) -> None:
        """Scan all rows; ValueError or IndexError names the first bad element."""

    def start(self) -> Fitting:
        """Begin a fit on this thread; RuntimeError if the model is being trained."""

    @property
    def trains(self) -> bool:
        """Whether a fit has begun and not finished."""

    @property
    def trains_elsewhere(self) -> bool:
        """Whether that is so on another thread than this one."""

    def run(
        self,
        data: Data,
        mode: str,
        order: NDArray[np.int64],
        batch_size: int,
        first: int,
        last: int,
        budget_ms: float,
        tbptt: int = 0,
    ) -> int:
        """Run batches [first, last) until the budget is used up; the next batch's index."""

    def predict(
        self,
        data: Data,
        batch_size: int,
        first: int,
        last: int,
        budget_ms: float,
        out: NDArray[Any],
    ) -> int:
        """Write the outputs of batches [first, last) into `out`; the next batch's index."""

    def empty_result(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """An uninitialised array of the network's dtype; a large one in memory of the last one."""

    def forward(
        self, data: Data, order: NDArray[np.int64], batch_size: int, batch: int, training: bool
    ) -> NDArray[Any]:
        """Output of one batch; kept for `backward` if training."""

    def backward(self, dy: NDArray[Any]) -> bool:
        """Gradients from dL/dy, then one optimizer step; False if one was not finite: no step."""

    def gradients(self, data: Data) -> tuple[float, list[NDArray[Any]]]:
        """Loss of one batch and its gradient for each variable; nothing changes."""

    def call(
        self,
        x: NDArray[Any],
        states: list[NDArray[Any]] | None = None,
        mask: NDArray[Any] | None = None,
        training: bool = False,
    ) -> list[NDArray[Any]]:
        """The network applied to arrays: the output, then h and c of each recurrent direction."""

    def call_gradients(
        self,
        x: NDArray[Any],
        states: list[NDArray[Any]] | None,
        mask: NDArray[Any] | None,
        dy: list[NDArray[Any]],
        training: bool = False,
    ) -> tuple[list[NDArray[Any]], NDArray[Any] | None, list[NDArray[Any]]]:
        """Gradients of sum(call(…) * dy) for the variables, x and the initial states."""

    def reset_state(self, mode: str = "") -> None:
        """Zero the carried states of "fit", "predict" or both."""

    def get_state(self, mode: str) -> list[NDArray[Any]]:
        """Carried states of one mode."""

    def set_state(self, mode: str, states: list[NDArray[Any]]) -> None:
        """Replace them."""

    def generate(
        self,
        prompt: NDArray[Any],
        max_new_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int,
    ) -> NDArray[np.int64]:
        """Sample continuations: prompt (steps,) or (rows, steps)."""

    def memory(self) -> int:
        """Bytes of the work spaces that no running call has."""

    def memory_use(self) -> dict[str, int]:
        """Bytes held now: parameters, gradients, optimizer, packed_weights, workspace."""

    def plan_memory(self, batch: int, steps: int, mode: str) -> dict[str, int]:
        """The same of a fresh network after a first such batch, at most."""
