"""What the phases and folds of a run reached, and which network is exported, in words, by its `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_transfer.evaluation.headline import headline, short

_FAR_WORSE = 3.0  # Times the loss of before, which more epochs at such a rate do not make good.


def table(phases: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table of what each phase reached, whether it was kept or not."""
    score = headline(phases[0]["validation"])
    lines: list[tuple[str, ...]] = [
        ("phase", "epochs", "kept", "trainable", "seconds", f"val. {short(score)}", "val. loss")
    ]
    for phase in phases:
        scores = phase.get("reached", phase["validation"])
        lines.append(
            (
                phase["name"],
                str(phase["epochs"]),
                str(phase["best_epoch"] or "none"),
                f"{phase['trainable_parameters']:,}",
                f"{phase['seconds']:.1f}",
                *(_score(scores, name) for name in (score, "loss")),
            )
        )
    return lines


def _score(scores: dict[str, float], name: str) -> str:
    return f"{scores[name]:.3f}" if name in scores and not math.isnan(scores[name]) else "-"


def exported(phases: Sequence[dict[str, Any]]) -> list[str]:
    """Say which network is exported, and why, where it is not simply the last one."""
    lines = []
    for phase in phases:
        if "planned_epochs" in phase:
            lines.append(f"The time ended {phase['name']} in epoch {phase['epochs']} of {phase['planned_epochs']}.")
        if phase.get("diverged"):
            kept = f"epoch {phase['best_epoch']}" if phase["best_epoch"] else "the network before it"
            rate = "--head-lr" if phase["name"].startswith("head") else "--fine-tune-lr"
            lines.append(
                f"The loss of phase {phase['name']!r} became NaN or infinite, so {kept} is kept. Lower {rate}."
            )
        if "chance" in phase:
            lines += _judged(phase)
        if phase["name"] == "head, views" and "cross_validation" in phase:
            plain, views = (each["cross_validation"]["loss"] for each in (phases[0], phase))
            chance = ", which may be chance: it is kept" if phase["best_epoch"] and views > plain else ""
            lines.append(
                f"Fitted on views, the head's loss in cross-validation is {views:.4f}; without, {plain:.4f}{chance}."
            )
    if phases[-1]["name"] == "refit":
        refit = phases[-1]
        if not refit["best_epoch"]:
            loss = refit["training_loss"]
            lines.append(
                f"Trained again on training and validation images, the loss on them was worse "
                f"({loss['before']:.4f} before, {loss['after']:.4f} after), so the validated network is exported."
            )
        elif refit["validation"]:
            lines.append(
                f"Exported: the head solved again on all {refit['images']:,} training and validation images; its "
                "scores are those of cross-validation."
            )
        else:
            lines.append(
                f"Exported: the network trained again on all {refit['images']:,} training and validation images, by "
                "the same schedule. It was not validated."
            )
    return lines


def told(metrics: dict[str, Any]) -> list[str]:
    """Return what there is to say below the table of phases, by the whole `metrics.json`."""
    return [*_units(metrics), *exported(metrics["phases"]), *taught(metrics)]


def _units(metrics: dict[str, Any]) -> list[str]:
    """Say what losses are in, where that is not plain, by the whole `metrics.json`."""
    from keras_transfer.tasks import task_in  # Not for help: it imports NumPy.

    if task_in(metrics).has_classes:
        return []
    return ["The losses are squared errors, in units of the variance of the numbers to train on."]


def taught(metrics: dict[str, Any]) -> list[str]:
    """Say what the exported network has of its teacher, by the whole `metrics.json`; nothing where it had none."""
    if "teacher" not in metrics:
        return []
    teacher = metrics["teacher"]
    name = f"{teacher['version']} ({teacher['base']})"
    agreement = teacher.get("agreement")
    alike = "" if agreement is None else f" The two predict the same of a share of {agreement:.3f} of the test images."
    if teacher["learned_from"]:
        return [f"It learned from the teacher {name} besides the labels.{alike}"]
    return [f"Nothing that was learned from the teacher {name} is kept in it.{alike}"]


def folds(metrics: dict[str, Any]) -> list[str]:
    """Say what cross-validation measured, by the whole `metrics.json`; nothing where there was none."""
    if "folds" not in metrics:
        return []
    measured = metrics["folds"]
    name = headline(measured["mean"])
    mean, spread = measured["mean"][name], measured["standard_deviation"][name]
    each = ", ".join(f"{report[name]:.3f}" for report in measured["each"])
    words = name.replace("_", " ")
    return [f"{measured['count']} folds: test {words} {mean:.3f}, standard deviation {spread:.3f} ({each})."]


def _judged(tuned: dict[str, Any]) -> list[str]:
    """Say why the network of before is kept, or a fine-tuned one of a greater validation loss."""
    before, after = tuned["before"], tuned["reached"]
    score = headline(before)
    # The table has no class-weighted ones and, where the phase is kept, the head's of before this calibration.
    key, how = ("weighted_loss", "class-weighted, calibrated") if "weighted_loss" in before else ("loss", "calibrated")
    losses = f"{how}: {before[key]:.4f} before, {after[key]:.4f} after"
    change = f"{losses}; {short(score)} {before[score]:.3f}, {after[score]:.3f}"
    if not tuned["best_epoch"]:
        more = ""
        if after[key] > _FAR_WORSE * before[key]:
            more = " Lower --fine-tune-lr."
        elif tuned.get("still_falling"):
            option = "--minutes" if "planned_epochs" in tuned else "--fine-tune-epochs"
            more = f" It was still falling: {option} with a larger number may reach further."
        return [f"Fine-tuning did not improve the validation loss ({change}), so the head is kept.{more}"]
    if after[key] > before[key]:
        return [
            f"The validation loss rose ({change}) by no more than chance makes of so few images "
            f"({tuned['chance']:.4f}), so the fine-tuned network is kept."
        ]
    return []
