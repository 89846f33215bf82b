"""What the loops have in common that pass every image through the whole base in every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Spec = dict[str, Any]
BEGUN = time.monotonic()  # Of this process, but for the interpreter's own start.


def listed(spec: Spec) -> Any:
    """Return training and validation photos as the guide reads them."""
    import keras

    return keras.utils.image_dataset_from_directory(
        f"{spec['data']}/train",
        label_mode="int",
        image_size=(spec["size"], spec["size"]),
        batch_size=32,
        validation_split=0.15,
        subset="both",
        seed=spec["seed"],
        verbose=False,
    )


def fit_twice(
    model: Any, train: Any, validation: Any, spec: Spec, thaw: Callable[[], None], begun: float
) -> dict[str, Any]:
    """Fit the head, thaw, and fit again; of each phase only `guide_epochs` are run, where that is asked for.

    Returns:
        Seconds since `begun`, and of each phase, as for all epochs; `skipped` are those that did not pass.
    """
    ready = time.monotonic() - begun
    first, skipped = _fit(model, train, validation, 1e-3, spec)
    started = time.monotonic()
    thaw()
    thawing = time.monotonic() - started
    second, skipped_too = _fit(model, train, validation, 1e-5, spec)
    seconds = ready + first + thawing + second
    return {"seconds": seconds, "phase 1": first, "phase 2": second, "skipped": skipped + skipped_too}


def _fit(model: Any, train: Any, validation: Any, rate: float, spec: Spec) -> tuple[float, float]:
    """Fit and return the seconds of all epochs, and those of them that did not pass."""
    import keras

    started = time.monotonic()
    ends: list[float] = []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    ending = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.monotonic()))
    epochs = min(spec["epochs"], spec.get("guide_epochs") or spec["epochs"])
    model.fit(train, validation_data=validation, epochs=epochs, callbacks=[ending], verbose=0, shuffle=False)
    seconds = took(started, ends, spec["epochs"])
    return seconds, seconds - (ends[-1] - started)


def took(started: float, ends: list[float], epochs: int) -> float:
    """Return the seconds of all epochs; those that were not run last as long as the ones after the first."""
    later = (ends[-1] - ends[0]) / max(len(ends) - 1, 1)
    return ends[-1] - started + (epochs - len(ends)) * later
