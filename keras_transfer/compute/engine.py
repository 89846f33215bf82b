"""What runs the frozen part: TensorFlow (any Keras backend, in fact), or OpenVINO on a CPU."""

from __future__ import annotations

import collections
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_transfer.compute.device import ComputePlan, policy
from keras_transfer.network.answering import answer
from keras_transfer.network.precision import computing_in
from keras_transfer.support.progress import Progress

if TYPE_CHECKING:
    import openvino

Outputs = list[np.ndarray]

BATCH = 16  # Images a batch, at most: throughput on two cores does not grow beyond it, and memory does.
# On a GPU, 16 pictures of 96 px took 9 ms, nearly all of it on the host: small ones are taken together, up to as many
# pixels as 16 of 224 px have.
_GPU_BATCH, _GPU_PIXELS = 64, 16 * 224**2

# Norm of the difference from Keras in float32, as a share of the norm. Float32 kernels that sum in another order
# differ by about 1e-6; bfloat16 has 8 bits, and errors add up to 0.01 to 0.05 of photos, 0.2 of digits on black and 0.3
# of wide pictures, which cost no accuracy (docs/speed.md). What was converted wrongly has nothing in common with Keras.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.5, "float16": 0.02}
_CHECKED_IMAGES = 2
_OPENVINO_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


@dataclass(frozen=True)
class Engine:
    """A frozen network that can be run.

    Attributes:
        name: `tensorflow` or `openvino`, for the record.
        run: Batches of uint8 pixels `[B, H, W, 3]`, B up to `batch_size`, to the network's outputs, a list of arrays
            for each, in order.
    """

    name: str
    run: Callable[[Iterable[np.ndarray]], Iterator[Outputs]]


def batch_size(plan: ComputePlan, size: int) -> int:
    """Return how many images of `size` px at most a batch has that an engine of a plan is given."""
    fixed = plan.device == "cpu" or plan.engine == "openvino"  # Which prepares for one size.
    return BATCH if fixed else min(_GPU_BATCH, max(BATCH, _GPU_PIXELS // size**2))


def start(frozen: keras.Model, plan: ComputePlan, first: np.ndarray, progress: Progress) -> tuple[Engine, Outputs]:
    """Return the fastest engine of the plan that agrees with Keras on a first batch, and its outputs for it.

    Args:
        frozen: Pixels to a list of tensors.
        plan: Names the engine and the precision.
        first: uint8 `[B, H, W, 3]`, on some of which the engines are compared.
        progress: Is warned when TensorFlow takes over.
    """
    if plan.engine == "openvino":
        try:
            engine, outputs, difference = _openvino(frozen, plan.precision, first)
            if difference <= TOLERANCE[plan.precision]:
                return engine, outputs
            reason = f"differs from Keras by {difference:.1e} of the activations' norm"
        except Exception as error:  # A converter meets any graph and may fail in any way; TensorFlow runs them all.
            reason = f"cannot run it ({_reason(error)})"
        progress.warn(f"OpenVINO {reason}; TensorFlow runs the frozen part instead.")
    engine = _tensorflow(frozen, plan)
    return engine, next(engine.run([first]))


def _reason(error: Exception) -> str:
    """Return the line of an error that tells most: those of OpenVINO begin with places in its own source."""
    headings = ("Exception from ", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:")
    lines = [line.strip("- ") for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(headings)]
    return telling[0][:120] if telling else type(error).__name__


def _tensorflow(frozen: keras.Model, plan: ComputePlan) -> Engine:
    frozen.compile(jit_compile=plan.compiles_frozen)
    rows = 0

    def run(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        nonlocal rows
        for batch in batches:
            rows = max(rows, len(batch))
            with computing_in(policy(plan.precision), frozen):
                outputs = answer(frozen, batch.astype("float32"), rows)
            yield outputs

    return Engine("tensorflow", run)


def _openvino(frozen: keras.Model, precision: str, first: np.ndarray) -> tuple[Engine, Outputs, float]:
    """Convert and compile; return the engine, its outputs for a batch, and their relative difference from Keras's."""
    # In float32, for OpenVINO rounds by itself; with casts in the graph it would round twice as often.
    converted, names = _converted(frozen, first.shape[1:])
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_started, converted, names, precision, first)
        sample = first[:_CHECKED_IMAGES].astype("float32")
        expected = [keras.ops.convert_to_numpy(array) for array in keras.tree.flatten(frozen(sample, training=False))]
        engine, outputs = starting.result()
    differences = []
    for actual, right in zip(outputs, expected, strict=True):
        difference = np.linalg.norm(actual[: len(right)] - right)
        differences.append(difference / max(float(np.linalg.norm(right)), 1e-12))
    return engine, outputs, float(np.max(differences))  # NaN, if one is, which no tolerance admits.


def _started(
    converted: openvino.Model, names: Sequence[str], precision: str, first: np.ndarray
) -> tuple[Engine, Outputs]:
    """Compile for batches of one size, which run up to a tenth faster; shorter ones are filled up."""
    import openvino

    converted.reshape([BATCH, *first.shape[1:]])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision]}
    compiled = openvino.Core().compile_model(converted, "CPU", hints)
    # By name, for the converter may order outputs as it likes.
    ports = [compiled.output(name) for name in names]

    def run(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        # One request a stream, plus one being filled; results leave in the order in which batches came.
        idle = [
            compiled.create_infer_request()
            for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1)
        ]
        busy: collections.deque = collections.deque()

        def finish() -> Outputs:
            request, count = busy.popleft()
            request.wait()
            outputs = [np.array(request.get_tensor(port).data[:count]) for port in ports]
            idle.append(request)
            return outputs

        for batch in batches:
            if not idle:
                yield finish()
            request = idle.pop()
            filled = np.pad(batch, [(0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)])
            request.start_async([filled], share_inputs=False)
            busy.append((request, len(batch)))
        while busy:
            yield finish()

    engine = Engine("openvino", run)
    return engine, next(engine.run([first]))


def _converted(frozen: keras.Model, shape: tuple[int, ...]) -> tuple[openvino.Model, list[str]]:
    """Return the network for OpenVINO and the names of its outputs.

    The graph is traced with placeholders for the weights, which become constants only in OpenVINO: as constants of
    TensorFlow they would pass through several copies and a file (ResNet50: half the time, 300 MB less).
    """
    import openvino
    import tensorflow as tf

    variables = (frozen.trainable_variables, frozen.non_trainable_variables)

    def call(pixels: tf.Tensor, *weights: list[tf.Tensor]) -> list[tf.Tensor]:
        outputs, _ = frozen.stateless_call(*weights, tf.cast(pixels, tf.float32), training=False)
        return keras.tree.flatten(outputs)

    specs = [[tf.TensorSpec(weight.shape, weight.dtype) for weight in weights] for weights in variables]
    function = tf.function(call, autograph=False).get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8), *specs)
    names = [tensor.name for tensor in function.outputs]
    graph = _pruned(function.graph.as_graph_def(), names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frozen.pb"
        file.write_bytes(graph.SerializeToString())
        model = openvino.Core().read_model(str(file))
    placeholders = {node.name for node in graph.node if node.op == "Placeholder"}
    # Tensors that layers made when they were built, such as Normalization's mean, come after the weights.
    values = itertools.chain(*variables, function.captured_inputs)
    for tensor, value in zip(function.inputs[1:], values, strict=True):
        if tensor.op.name in placeholders:
            placeholder = model.input(tensor.name).get_node()
            constant = openvino.op.Constant(np.ascontiguousarray(keras.ops.convert_to_numpy(value)))
            placeholder.output(0).replace(constant.output(0))
            model.remove_parameter(placeholder)
    model.validate_nodes_and_infer_types()
    return model, names


def _pruned(graph: Any, outputs: Sequence[str]) -> Any:
    """Take out of a GraphDef what leads to no output, for OpenVINO would compute it."""
    inputs = {node.name: [name.lstrip("^").split(":")[0] for name in node.input] for node in graph.node}
    needed: set[str] = set()
    waiting = [name.split(":")[0] for name in outputs]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += inputs[node]
    for index in reversed(range(len(graph.node))):
        if graph.node[index].name not in needed:
            del graph.node[index]
    return graph
