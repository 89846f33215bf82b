"""Methods of transfer, one module each: a name, and the phases that it runs.

`phases(trainer)` yields a phase, and goes on once the trainer has run it: what the next one is may depend on what
the last one reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keras_transfer.training.methods import frozen, full, scratch, two_phase
from keras_transfer.training.phase import Phase
from keras_transfer.training.refit import refit
from keras_transfer.training.trainer import Trainer

METHODS: dict[str, Callable[[Trainer], Iterator[Phase]]] = {
    method.NAME: method.phases for method in (two_phase, frozen, full, scratch)
}


def run(trainer: Trainer) -> None:
    """Run the phases of the recipe's method, and the refit that the recipe asks for."""
    for phase in METHODS[trainer.recipe.method](trainer):
        trainer.run(phase)
    refit(trainer)
