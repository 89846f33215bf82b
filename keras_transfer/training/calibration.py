"""The temperature that calibrates a network (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

from __future__ import annotations

import numpy as np

from keras_transfer.tasks.task import Task


def calibrated(task: Task, logits: np.ndarray, targets: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return the best temperature of held-out logits `[N, K]`, and score and loss of the logits divided by it."""
    temperature = task.temperature(logits, targets)
    return temperature, task.evaluate(logits / temperature, targets)
