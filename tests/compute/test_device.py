from pathlib import Path

import pytest
import tensorflow as tf

from keras_transfer.compute import device
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError


def has_gpus(monkeypatch, capabilities):
    """Let TensorFlow see GPUs with CUDA compute capabilities, `unknown` for one without."""
    details = {
        name: {} if capability == "unknown" else {"compute_capability": capability}
        for name, capability in capabilities.items()
    }
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(details))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)


@pytest.mark.parametrize(
    ("capability", "flags", "precision", "xla_pays"),
    [
        (None, "sse4_2 avx512f avx512_vnni", "float32", False),
        (None, "avx512f avx512_bf16", "bfloat16", False),
        ((9, 0), "avx512f", "bfloat16", True),
        ((7, 5), "avx512_bf16", "float16", True),
        ((6, 1), "avx512_bf16", "float32", True),
        ("unknown", "avx512_bf16", "float32", False),  # Of another maker's GPU.
    ],
)
def test_precision_and_xla_follow_from_the_device(monkeypatch, capability, flags, precision, xla_pays):
    has_gpus(monkeypatch, {} if capability is None else {"gpu": capability})
    cpu = f"processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu {flags}\n\n"
    monkeypatch.setattr(Path, "read_text", lambda file, *given: cpu if file == Path("/proc/cpuinfo") else "")
    assert device.processor() == "Some CPU @ 2 GHz"
    plan = device.plan(Recipe(base="resnet50"))
    assert plan.precision == precision
    assert [plan.compiles(steps) for steps in (1_000, 100_000)] == [False, xla_pays]
    assert not plan.compiles_frozen
    assert device.plan(Recipe(base="resnet50"), needs_float32=True).precision == "float32"
    assert device.plan(Recipe(base="resnet50", precision="bfloat16"), needs_float32=True).precision == "bfloat16"
    chosen = device.plan(Recipe(base="resnet50", precision="float32", xla="off", engine="tensorflow"))
    assert (chosen.precision, chosen.compiles(100_000), chosen.engine) == ("float32", False, "tensorflow")
    assert device.plan(Recipe(base="resnet50", xla="on")).compiles_frozen
    assert not device.plan(Recipe(base="resnet50", minutes=1.0)).compiles(100_000)


def test_policies_keep_variables_in_float32():
    assert [device.policy(precision) for precision in ("float32", "float16")] == ["float32", "mixed_float16"]


def test_of_several_gpus_the_first_that_tensorflow_sees_computes(monkeypatch):
    """Whichever others there are that the user hid from it."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["hidden", "first", "second"])
    has_gpus(monkeypatch, {"first": (7, 5), "second": (8, 6)})
    assert device.plan(Recipe(base="resnet50")).precision == "float16"
    has_gpus(monkeypatch, {})
    assert device.plan(Recipe(base="resnet50")).device == "cpu"


def test_the_engine_follows_from_what_is_installed(monkeypatch):
    has_gpus(monkeypatch, {})
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    assert device.plan(Recipe(base="resnet50")).engine == "openvino"
    assert device.plan(Recipe(base="vgg16")).engine == "tensorflow"
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    assert device.plan(Recipe(base="resnet50")).engine == "tensorflow"
    with pytest.raises(UsageError, match="pip install openvino"):
        device.plan(Recipe(engine="openvino"))
