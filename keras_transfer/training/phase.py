"""A phase of training, and what comes of it: data, not behaviour."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from keras_transfer.training.technique import Technique

HEAD, ALL = "head", "all"
# Which weights a phase leaves: of its best epoch, of that one unless it is worse than before, or of its last.
BEST, BEST_UNLESS_WORSE, BEST_IF_BETTER, LAST = "best", "best unless worse", "best if better", "last"


@dataclass(frozen=True)
class Solver:
    """Solve a linear head, which is a convex problem.

    Attributes:
        method: scikit-learn's name of the solver.
        strength: Inverse of the L2 penalty; None: it is chosen by cross-validation.
    """

    method: str
    strength: float | None = None


@dataclass(frozen=True)
class GradientDescent:
    """Train by gradient: AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101).

    Attributes:
        epochs: Over which the schedule runs.
        learning_rate: Peak; reached after a tenth of all steps, then falling to zero as a cosine.
        weight_decay: Share of a weight, times the learning rate, that a step takes from it.
        label_smoothing: Share of the target spread over all classes (Szegedy et al. 2016).
        patience: Epochs without a better validation loss, after which training ends; None runs all and keeps the last.
        stop: The epoch to end after, wherever the schedule is then; None runs it to its end.
        seconds: In which it ends at the latest, the schedule run to its end by then; None: epochs alone count.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    patience: int | None = None
    stop: int | None = None
    seconds: float | None = None

    @property
    def last_epoch(self) -> int:
        """The epoch after which it ends at the latest, from 1."""
        return self.stop or self.epochs


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes:
        name: As tables, `history.csv` and `metrics.json` show it.
        trains: `head`, the name of a block (it and all above), or `all`.
        by: How it trains.
        views: Augmented views of each image, itself among them, that are stored and rotated through; `fresh` draws
            new ones in each epoch.
        keep: Which weights it leaves: `best` (of the epoch of the least validation loss; of the last one where there
            is no patience), the same `best unless worse` than before by more than chance, or `best if better`; or
            `last`, for which nothing is validated.
        techniques: What changes its training by gradient.
    """

    name: str
    trains: str
    by: Solver | GradientDescent
    views: int | str = 1
    keep: str = BEST
    techniques: tuple[Technique, ...] = ()

    @property
    def is_judged(self) -> bool:
        """Whether what it trained is kept only by what validation images say of before and after."""
        return self.keep in (BEST_UNLESS_WORSE, BEST_IF_BETTER)

    def as_chosen(self, result: PhaseResult) -> Phase:
        """Return the phase as it is run once more: by the same schedule, ended where its best epoch ended."""
        name = f"refit, {self.name}"
        if isinstance(self.by, Solver):
            return replace(self, name=name, by=replace(self.by, strength=result.details["strength"]))
        return replace(self, name=name, by=replace(self.by, stop=result.best_epoch), keep=LAST)


@dataclass
class PhaseResult:
    """What a phase did.

    Attributes:
        name: Of the phase.
        epochs: Epochs run; of a solved head, the solver's iterations; of a refit, those of its last part.
        best_epoch: The epoch whose weights were kept; 0 if those from before the phase were better.
        seconds: Wall time.
        trainable_parameters: Weights that could change.
        images_per_second: Training images a second, validation included.
        validation: Score (`accuracy`, or `r2`) and `loss` (cross-entropy, nats, or squared error) on the validation
            split, of the network that the phase left, with its last temperature where a later phase was dropped; empty
            where it trained on that split.
        history: One record an epoch.
        details: What else a phase wants to record.
    """

    name: str
    epochs: int
    best_epoch: int
    seconds: float
    trainable_parameters: int
    images_per_second: float
    validation: dict[str, float]
    history: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the phase as `metrics.json` has it."""
        fields = asdict(self)
        details = fields.pop("details")
        fields.pop("history")
        return fields | details
