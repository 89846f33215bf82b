"""Whether what a phase trained is kept, and whether it had trained enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Share of the loss. What the same weights lose or gain by another order of summation is a tenth of that: no gain.
_ROUNDING = 1e-3
# Share of the loss, above which a rise is no chance: where the loss is small, a single image can be most of it.
_MOST_BY_CHANCE = 0.3
_STILL_FALLING = 0.01  # Share of the validation loss by which one epoch lowered it.


def worse(before: np.ndarray, after: np.ndarray, allowed: bool = True) -> tuple[bool, float]:
    """Return whether a phase made the loss worse by more than chance would, and how much that is.

    Chance is the standard error of the mean of what each image's loss changes by, as cross-validation allows for it
    (Breiman et al. 1984), and no large part of the loss. Few images often call a network worse that is better on
    others, and the rule fine-tunes only where that gains: `docs/measurements.md` has what is lost without it. A gain by
    rounding only counts as worse.

    Args:
        before: float64 `[N]`, each validation image's loss before the phase.
        after: The same after it.
        allowed: Whether the loss may rise by chance; where nothing speaks for a gain but the loss, it has to fall.
    """
    change = after - before
    error = float(change.std(ddof=1) / len(change) ** 0.5) if len(change) > 1 else 0.0
    chance = min(error, _MOST_BY_CHANCE * float(before.mean()))
    return not change.mean() < chance * allowed - _ROUNDING * before.mean(), chance


def still_falling(history: Sequence[dict[str, Any]]) -> bool:
    """Return whether the last epoch of a phase had the least validation loss, and clearly less than the one before."""
    losses = [row["val_loss"] for row in history if "val_loss" in row]
    return len(losses) > 1 and losses[-1] == min(losses) and losses[-1] < (1 - _STILL_FALLING) * losses[-2]
