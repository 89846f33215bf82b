"""What is learnt, one module a task: targets, output, loss and scores, how a linear head is solved, and the report.

Nothing here imports Keras before it builds a layer or a loss: commands ask tasks without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_transfer.data.examples import CLASSIFICATION, Examples
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression
from keras_transfer.tasks.task import Task

# By the names that data sets and `metrics.json` have for them.
TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, MultiLabel, Regression)}


def task_of(examples: Examples) -> Task:
    """Return the task that a data set sets whose splits are drawn."""
    return TASKS[examples.task].of(examples)


def task_in(metrics: Mapping[str, Any]) -> type[Task]:
    """Return the task that a version's `metrics.json` names; those of release 0.1.0 name none, and classify."""
    return TASKS[metrics.get("task", CLASSIFICATION)]
