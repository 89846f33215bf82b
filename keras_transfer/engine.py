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

from keras_transfer.device import Plan
from keras_transfer.model import computing_in
from keras_transfer.progress import Progress

if TYPE_CHECKING:
    import openvino

Outputs = list[np.ndarray]

# Norm of the difference from Keras in float32, as a share of the norm. Float32 kernels that sum in another order
# differ by about 1e-6; bfloat16 has 8 bits and errors add up to 0.01 to 0.05, in single values to much more.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.15, "float16": 0.02}
_CHECKED_IMAGES = 2
_OPENVINO_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


@dataclass(frozen=True)
class Engine:
    """A frozen network that can be run.

    Attributes:
        name: `tensorflow` or `openvino`, for the record.
        run: Batches of uint8 pixels `[B, H, W, 3]` to the network's outputs, each a list of arrays, in order.
    """

    name: str
    run: Callable[[Iterable[np.ndarray]], Iterator[Outputs]]


def start(frozen: keras.Model, plan: Plan, sample: np.ndarray, progress: Progress) -> Engine:
    """Return the fastest engine of the plan that agrees with Keras on a sample.

    Args:
        frozen: Pixels to a list of tensors.
        plan: Names the engine and the precision.
        sample: uint8 `[B, H, W, 3]`, on which the engines are compared.
        progress: Hears of it when TensorFlow takes over.
    """
    if plan.engine == "openvino":
        try:
            engine, difference = _openvino(frozen, plan.precision, sample[:_CHECKED_IMAGES])
            if difference <= TOLERANCE[plan.precision]:
                return engine
            reason = f"differs from Keras by {difference:.1e} of the activations' norm"
        except Exception as error:  # A converter meets any graph and may fail in any way; TensorFlow runs them all.
            reason = (
                f"cannot run it ({str(error).strip().splitlines()[0][:120] if str(error) else type(error).__name__})"
            )
        progress.warn(f"OpenVINO {reason}; TensorFlow runs the frozen part instead.")
    return _tensorflow(frozen, plan)


def _tensorflow(frozen: keras.Model, plan: Plan) -> Engine:
    frozen.compile(jit_compile=plan.xla)

    def run(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        for batch in batches:
            with computing_in(plan.policy, frozen):
                outputs = frozen.predict_on_batch(batch.astype("float32"))
            yield keras.tree.flatten(outputs)

    return Engine("tensorflow", run)


def _openvino(frozen: keras.Model, precision: str, sample: np.ndarray) -> tuple[Engine, float]:
    """Convert and compile; return the engine and its relative difference from Keras on the sample."""
    import openvino

    # In float32, for OpenVINO rounds by itself; with casts in the graph it would round twice as often.
    converted, names = _converted(frozen, sample.shape[1:])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision]}
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(openvino.Core().compile_model, converted, "CPU", hints)
        expected = keras.tree.flatten(frozen(sample.astype("float32"), training=False))
        compiled = compiling.result()
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
            request = busy.popleft()
            request.wait()
            outputs = [np.array(request.get_tensor(port).data) for port in ports]
            idle.append(request)
            return outputs

        for batch in batches:
            if not idle:
                yield finish()
            request = idle.pop()
            request.start_async([batch], share_inputs=False)
            busy.append(request)
        while busy:
            yield finish()

    differences = []
    for one, other in zip(next(run([sample])), map(keras.ops.convert_to_numpy, expected), strict=True):
        differences.append(np.linalg.norm(one - other) / max(float(np.linalg.norm(other)), 1e-12))
    return Engine("openvino", run), float(np.max(differences))  # NaN, if one is, which no tolerance admits.


def _converted(frozen: keras.Model, shape: tuple[int, ...]) -> tuple[openvino.Model, list[str]]:
    """Return the network for OpenVINO and the names of its outputs.

    The graph is traced with placeholders for the weights, which become constants only in OpenVINO: as constants of
    TensorFlow they would pass through several copies and a file (ResNet50: half the time, 300 MB less).
    """
    import openvino
    import tensorflow as tf

    kinds = (frozen.trainable_variables, frozen.non_trainable_variables)

    def call(pixels: tf.Tensor, *weights: list[tf.Tensor]) -> list[tf.Tensor]:
        outputs, _ = frozen.stateless_call(*weights, tf.cast(pixels, tf.float32), training=False)
        return keras.tree.flatten(outputs)

    specs = [[tf.TensorSpec(weight.shape, weight.dtype) for weight in weights] for weights in kinds]
    function = tf.function(call, autograph=False).get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8), *specs)
    names = [tensor.name for tensor in function.outputs]
    graph = _pruned(function.graph.as_graph_def(), names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frozen.pb"
        file.write_bytes(graph.SerializeToString())
        model = openvino.Core().read_model(str(file))
    placeholders = {node.name for node in graph.node if node.op == "Placeholder"}
    # Tensors that layers made when they were built, such as Normalization's mean, come after the weights.
    values = itertools.chain(*kinds, function.captured_inputs)
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
