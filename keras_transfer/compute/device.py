"""What this machine computes fastest in, and the precision, XLA and engine that follow from it."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError

_GPU_BFLOAT16 = (8, 0)  # Ampere: https://docs.nvidia.com/cuda/ampere-tuning-guide/
_GPU_FLOAT16 = (7, 0)  # Volta, the first with tensor cores.
_UNKNOWN = (0, 0)  # Of GPUs that are not NVIDIA's; not all of them have XLA, Apple's for one.
# Training steps from which XLA saves the time that it takes: on an H200, compiling MobileNetV2's took 56 s for each of
# an epoch's two sizes of batches, and each step was 5.8 ms shorter (docs/speed.md).
_XLA_PAYS = 20_000
_CPU_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # As /proc/cpuinfo names the instructions.


@dataclass(frozen=True)
class ComputePlan:
    """How a run computes.

    Attributes:
        device: `cpu` or `gpu`.
        precision: `float32`, `bfloat16` or `float16`, of stored activations too.
        xla_from: Steps from which training is compiled with XLA: 0 where everything is, None where nothing is.
        engine: Of the frozen part, `tensorflow` or `openvino`.
    """

    device: str
    precision: str
    xla_from: int | None
    engine: str

    @property
    def compiles_frozen(self) -> bool:
        """Whether TensorFlow compiles the frozen part with XLA."""
        return self.xla_from == 0

    def compiles(self, steps: int) -> bool:
        """Return whether training of so many steps is compiled with XLA."""
        return self.xla_from is not None and steps >= self.xla_from


def plan(recipe: Recipe, needs_float32: bool = False) -> ComputePlan:
    """Choose what the recipe leaves open.

    Precision: bfloat16 on what multiplies in it, float16 on GPUs with only that, float32 elsewhere; classifiers trained
    in either and served in float32 lost no accuracy that could be measured, regressions did, and get float32. XLA: for
    long training on an NVIDIA GPU, not for a CPU, where it measured slower. Engine: OpenVINO on a CPU when it is
    installed, but for VGG, whose plain convolutions TensorFlow runs as fast. The measurements are in docs/speed.md.

    Args:
        recipe: What the user asked for.
        needs_float32: Whether half precision would cost accuracy, as `Task` says.

    Raises:
        UsageError: OpenVINO is asked for and not installed.
    """
    gpu, name = _gpu_capability(), Path(recipe.base).name.lower()  # Of a file, not of the folders that it lies in.
    precision = recipe.precision
    if precision == "auto":
        precision = "float32" if needs_float32 else _fastest_precision(gpu)
    installed = importlib.util.find_spec("openvino") is not None
    if recipe.engine == "openvino" and not installed:
        raise UsageError("--engine openvino needs the package openvino: pip install openvino.")
    engine = recipe.engine
    if engine == "auto":
        faster = installed and gpu is None and _tensorflow_backend() and "vgg" not in name
        engine = "openvino" if faster else "tensorflow"
    pays = gpu not in (None, _UNKNOWN) and recipe.minutes == "none"  # Nobody knows how many steps there is time for.
    xla_from = {"on": 0, "off": None, "auto": _XLA_PAYS if pays else None}[recipe.xla]
    return ComputePlan("cpu" if gpu is None else "gpu", precision, xla_from, engine)


def policy(precision: str) -> str:
    """Return the Keras dtype policy of a precision."""
    return "float32" if precision == "float32" else f"mixed_{precision}"


def _fastest_precision(gpu: tuple[int, int] | None) -> str:
    if gpu is None:
        return "bfloat16" if _CPU_BFLOAT16 & _cpu_flags() else "float32"
    return "bfloat16" if gpu >= _GPU_BFLOAT16 else "float16" if gpu >= _GPU_FLOAT16 else "float32"


def processor() -> str:
    """Return the processor's name, for the record of a run."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    return set(_cpu_info("flags").split())


def _cpu_info(key: str) -> str:
    """Return what Linux says of the first processor, "" where it says nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _gpu_capability() -> tuple[int, int] | None:
    """Return the CUDA compute capability of the GPU that computes; None without one."""
    import tensorflow as tf

    devices = tf.config.get_visible_devices("GPU")
    if not devices:
        return None
    # TensorFlow computes on the first that it sees, however many there are.
    details = tf.config.experimental.get_device_details(devices[0])
    return details.get("compute_capability", _UNKNOWN)


def _tensorflow_backend() -> bool:
    import keras

    return keras.backend.backend() == "tensorflow"
