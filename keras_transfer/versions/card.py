"""The model card of a version, written from the run itself: https://arxiv.org/abs/1810.03993."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from keras_transfer.data.decoding.formats import WEBP_RELEASE
from keras_transfer.data.decoding.input_rule import InputRule
from keras_transfer.evaluation import per_class
from keras_transfer.evaluation.cautions import cautions
from keras_transfer.network.bases import AS_BUILT
from keras_transfer.network.licences import licence
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.numerals import number_text
from keras_transfer.support.paths import portable
from keras_transfer.support.version import __version__
from keras_transfer.tasks import task_in
from keras_transfer.tasks.task import Task
from keras_transfer.versions import phases

RANDOM = "The base's weights were random: this model shows that everything works, no more."
OLDEST_SERVING = "2.18"  # Release of TensorFlow Serving whose operations the graph is made of.
_SHOWN = 12  # Classes named in the card; all are in labels.txt.
_INTERVALS = " Intervals are 95% Wilson intervals over images; they say nothing of images from elsewhere."
_IN_TABLE = 20  # Classes above which the table has the worst ones only.


def text(metrics: dict[str, Any], recipe: Recipe, name: str, training: Mapping[str, int] | None = None) -> str:
    """Return the card, in Markdown.

    Args:
        metrics: As in `metrics.json`.
        recipe: Complete.
        name: Of the model.
        training: Training images of each class; None where there are no classes, or nobody knows.
    """
    data, task = metrics["data"], task_in(metrics)
    classes = ", ".join(map(_escaped, data["classes"][:_SHOWN])) + (", ..." if len(data["classes"]) > _SHOWN else "")
    random, side = metrics["weights"] == "random", metrics["size"]
    address = f"http://localhost:8501/v1/models/{quote(name, safe='')}"
    lines = [
        f"# {_escaped(name)}",
        "",
        f"A model for {_task_name(task)} of images, transferred from `{metrics['base']}` "
        f"(weights: {_escaped(portable(metrics['weights']))}) by keras_transfer {__version__} on "
        f"{time.strftime('%Y-%m-%d')}. `environment.json` lists the other packages.",
        *(line for told in phases.taught(metrics) for line in ("", _escaped(told))),
        *(["", f"**{RANDOM}**"] if random else []),
        "",
        "## Data",
        "",
        f"- Source: {_code(portable(recipe.data))}, {_learned(task, data['classes'])}: {classes}",
        f"- {data['train']} images to train, {data['validation']} to validate, {data['test']} to test; "
        f"{data['rejected']} left out; seed {metrics['seed']}. `splits.csv` lists them with digests of their bytes.",
        "- Images of equal bytes are in one split.",
        "",
        "## Measured",
        "",
        *_measured(metrics["test"], data["test"], len(data["classes"])),
        *(line for told in phases.folds(metrics) for line in ("", told)),
        *(line for told in cautions(metrics["test"], training or {}) for line in ("", _escaped(told))),
        *_classes(metrics["test"]),
        "",
        f"On {metrics['machine']}.{_INTERVALS if task.has_classes else ''}",
        "",
        "## Use",
        "",
        f"For images like those it was trained on: {classes}. {_answers(task)} Measure it on your own images before "
        "you rely on it, and do not let it decide alone on what matters to people.",
        "",
        "## How to call it",
        "",
        "```",
        f'curl -d \'{{"instances": [{{"b64": "..."}}]}}\' {address}:predict',
        "```",
        "",
        f"`serving_default` takes the bytes of JPEG, PNG, GIF, BMP and WebP files of up to {recipe.max_pixels:,} "
        f"pixels; `images` takes pixels 0..255, `[N, {side}, {side}, 3]`; `features` gives the embedding.",
        "",
        f"{InputRule.of(recipe, side)} `serving_default` does so itself; whoever gives pixels, to `images` or to an "
        "exported file, has to.",
        "",
        f"It loads in TensorFlow Serving {OLDEST_SERVING} or newer; WebP files need {WEBP_RELEASE} or newer.",
        "",
        "## Licence of the base's weights",
        "",
        licence(metrics["base"]) if metrics["weights"] == "imagenet" else _own_weights(metrics),
        "",
    ]
    return "\n".join(lines)


def _task_name(task: type[Task]) -> str:
    return f"{task.name} classification" if task.has_classes and not task.single_label else task.name


def _learned(task: type[Task], classes: list[str]) -> str:
    if not task.has_classes:
        return "a number"
    counted = f"{len(classes)} class{'es' * (len(classes) != 1)}"
    return counted if task.single_label else f"{counted}, none, one or several an image"


def _answers(task: type[Task]) -> str:
    if not task.has_classes:
        return "It gives a number for any picture, also for one that has none."
    if not task.single_label:
        return "It gives any of these answers, or none, to any picture, also to one unlike them."
    return "It gives one of these answers to any picture, also to one that shows none of them."


def _escaped(text: str) -> str:
    """Return text that Markdown and HTML show as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _code(text: str) -> str:
    """Return text as a code span, which ends at no backquote of its own."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def _measured(test: dict[str, Any], count: int, classes: int) -> list[str]:
    if not test["images"]:
        return ["Not tested: `evaluate` measures it."]
    return [
        f"On the {count} test images, which training and selection did not see, through the exported graph:",
        "",
        "| metric | value |",
        "|---|---|",
        # Of five classes, the right one is always among five.
        *_rows({name: value for name, value in test.items() if name != "top5_accuracy" or classes > 5}),
    ]


def _rows(test: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in test.items():
        if isinstance(value, float):
            interval = test.get(f"{name}_interval")
            about = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
            lines.append(f"| {name.replace('_', ' ')} | {number_text(value, 4)}{about} |")
    return lines


def _classes(test: dict[str, Any]) -> list[str]:
    """Return the table of the classes, of many the worst ones, or why there is none, behind an empty line."""
    few = len(test.get("per_class", {})) <= _IN_TABLE
    heading, *cells = (per_class.whole_table(test) if few else per_class.table(test)) or [()]
    lines = [heading, tuple("---" for _ in heading), *(tuple(map(_escaped, row)) for row in cells)] if cells else []
    reason = None if few else per_class.too_few(test)
    text = [f"| {' | '.join(row)} |" for row in lines] or ([reason] if reason else [])
    return ["", *text] if text else []


def _own_weights(metrics: dict[str, Any]) -> str:
    if metrics["weights"] == "random":
        return "None: the weights were drawn at random."
    if metrics["weights"] == AS_BUILT:
        return "Not known here: the base was registered with its weights; see where they came from."
    return f"That of {_code(portable(metrics['weights']))}, which the weights came from."
