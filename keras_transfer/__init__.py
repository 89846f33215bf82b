"""Transfer learning with Keras: labelled images in, a tested classifier that serves out.

    import keras_transfer as kt

    result = kt.fit("photos/", base="resnet50")
    print(result.metrics["test"]["accuracy"])
    result.model.predict(["a.jpg"])

All of it is loaded when first used, so that importing the package takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_transfer.support.version import __version__ as __version__

if TYPE_CHECKING:
    from keras_transfer.api import check, evaluate, export, features, fit, load, load_recipe, models, recommend
    from keras_transfer.network.bases import Base, bases
    from keras_transfer.network.registered import register_base
    from keras_transfer.recipe.recipe import Recipe
    from keras_transfer.run import Result
    from keras_transfer.studies.check.findings import Findings
    from keras_transfer.studies.recommend import Recommendation
    from keras_transfer.support.errors import UsageError, UserError
    from keras_transfer.support.progress import Progress
    from keras_transfer.versions.predictions import Prediction
    from keras_transfer.versions.saved import SavedClassifier

_MODULES = {
    "Base": "network.bases",
    "Findings": "studies.check.findings",
    "Prediction": "versions.predictions",
    "Progress": "support.progress",
    "Recipe": "recipe.recipe",
    "Recommendation": "studies.recommend",
    "Result": "run",
    "SavedClassifier": "versions.saved",
    "UsageError": "support.errors",
    "UserError": "support.errors",
    "bases": "network.bases",
    "check": "api",
    "evaluate": "api",
    "export": "api",
    "features": "api",
    "fit": "api",
    "load": "api",
    "load_recipe": "api",
    "models": "api",
    "recommend": "api",
    "register_base": "network.registered",
}

__all__ = [
    "Base",
    "Findings",
    "Prediction",
    "Progress",
    "Recipe",
    "Recommendation",
    "Result",
    "SavedClassifier",
    "UsageError",
    "UserError",
    "bases",
    "check",
    "evaluate",
    "export",
    "features",
    "fit",
    "load",
    "load_recipe",
    "models",
    "recommend",
    "register_base",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "SavedClassifier":  # Its module imports TensorFlow.
        importlib.import_module(f"{__name__}.support.logs").import_tensorflow()
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """What an editor and a notebook offer; names that are not loaded yet among them."""
    return [*__all__, "__version__"]
