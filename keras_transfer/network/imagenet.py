"""ImageNet weights of the table's bases: where Keras downloads them from, and where it keeps them.

Nothing here imports Keras, so that `bases` can tell at once which are on this machine.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_SIZES = {"mobilenet": (128, 160, 192, 224), "mobilenetv2": (96, 128, 160, 192, 224)}  # With weights of their own.


def address(name: str, size: int) -> str:
    """Return where Keras downloads the ImageNet weights without top of a base from.

    Args:
        name: Of the base, as in the table.
        size: Input side, px: the MobileNets have weights of several sizes.
    """
    return _source(name, size)[0]


def file(name: str, size: int) -> Path:
    """Return where Keras keeps, and looks for, the ImageNet weights without top of a base at an input side in px."""
    return _models_folder() / _source(name, size)[1]


def _source(name: str, size: int) -> tuple[str, str]:
    """Address and file name, as `keras.applications` has them."""
    size = size if size in _SIZES.get(name, ()) else 224
    if name.startswith(("vgg", "resnet", "densenet", "xception")):
        folder = re.sub(r"(?<=net)\d+(v2)?$", "", name)
        file = f"{name}_{_KERNELS}_notop.h5"
    elif name.startswith("inception"):
        folder = {"inceptionv3": "inception_v3", "inceptionresnetv2": "inception_resnet_v2"}[name]
        file = f"{folder}_{_KERNELS}_notop.h5"
    elif name.startswith("nasnet"):
        kind = name.removeprefix("nasnet")
        return f"{_ADDRESS}nasnet/NASNet-{kind}-no-top.h5", f"nasnet_{kind}_no_top.h5"
    elif name.startswith("mobilenetv3"):
        folder, file = (
            "mobilenet_v3",
            f"weights_mobilenet_v3_{name.removeprefix('mobilenetv3')}_224_1.0_float_no_top_v2.h5",
        )
    elif name == "mobilenetv2":
        folder, file = "mobilenet_v2", f"mobilenet_v2_{_KERNELS}_1.0_{size}_no_top.h5"
    elif name == "mobilenet":
        folder, file = "mobilenet", f"mobilenet_1_0_{size}_tf_no_top.h5"
    elif name.startswith("efficientnetv2"):
        folder, file = "efficientnet_v2", f"efficientnetv2-{name.removeprefix('efficientnetv2')}_notop.h5"
    elif name.startswith("efficientnet"):
        return f"https://storage.googleapis.com/keras-applications/{name}_notop.h5", f"{name}_notop.h5"
    else:
        folder, file = "convnext", f"convnext_{name.removeprefix('convnext')}_notop.h5"
    return f"{_ADDRESS}{folder}/{file}", file


def _models_folder() -> Path:
    """Where Keras keeps what it downloads."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    nearest_folder = next(folder for folder in (home, *home.parents) if folder.exists())
    return (home if os.access(nearest_folder, os.W_OK) else Path(tempfile.gettempdir()) / ".keras") / "models"
