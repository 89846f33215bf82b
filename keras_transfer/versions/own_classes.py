"""Labels of other data in the classes of a model that is measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_transfer.data.examples import Examples
from keras_transfer.support.errors import UserError
from keras_transfer.support.terminal import listed
from keras_transfer.tasks.task import Task


def translated(examples: Examples, task: Task, own: Sequence[str]) -> Examples:
    """Return examples with labels that are positions in a model's classes.

    Args:
        examples: Of any source.
        task: That the model has learnt.
        own: The model's classes, in the order of its probabilities.

    Raises:
        UserError: the examples are for another task, or have a class that is none of the model's.
    """
    if examples.task != task.name:
        raise UserError(f"{examples.source} is for {examples.task}, the model for {task.name}.")
    if not task.has_classes:
        return examples
    examples = _respelled(examples, own)
    unknown = [name for name in examples.classes if name not in own]
    if unknown:
        raise UserError(f"{examples.source}: class {unknown[0]!r} is none of the model's: {', '.join(own)}.")
    numbers = np.asarray([own.index(name) for name in examples.classes])
    if task.single_label:
        return replace(examples, labels=numbers[examples.labels], classes=tuple(own))
    labels = np.zeros((len(examples), len(own)), "float32")
    labels[:, numbers] = examples.labels
    absent = [name for name in own if name not in examples.classes]
    if absent:
        told = f"Of the model's labels, it has none of {listed(absent)}: absent from all images."
        examples = examples.explained(f"{examples.understood} {told}".lstrip())
    return replace(examples, labels=labels, classes=tuple(own))


def _respelled(examples: Examples, own: Sequence[str]) -> Examples:
    """Return examples with classes that differ from the model's in case alone called as it calls them: earlier releases
    wrote headings of a table, where they name classes, in lower case.
    """
    names = {
        name: name.lower()
        for name in examples.classes
        if name not in own and name.lower() in set(own) - set(examples.classes)
    }
    if not names:
        return examples
    told = "; ".join(f"class {name!r} is the model's {known!r}" for name, known in names.items())
    classes = tuple(names.get(name, name) for name in examples.classes)
    return replace(examples, classes=classes).explained(f"{examples.understood} In it, {told}.".lstrip())
