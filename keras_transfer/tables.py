"""Aligned tables of results, as the commands print them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from keras_transfer.bases import Base
from keras_transfer.recipe import Recipe

_RANDOM = "Random weights: these numbers show that everything works, not what transfer gains."


def run(metrics: dict[str, Any], recipe: Recipe, folder: str) -> str:
    """What `fit` says at its end."""
    data, test = metrics["data"], metrics["test"]
    counts = f"{data['train']} / {data['validation']} / {data['test']}"
    lines = [
        f"{metrics['base']}, weights {metrics['weights']}, {metrics['size']} px, engine {metrics['engine']}, "
        f"{metrics['precision']}, seed {metrics['seed']}",
        f"{data['source']}: {len(data['classes'])} classes, {counts} images to train / validate / test",
        "By rule: " + ", ".join(_choices(metrics, recipe)),
        "",
    ]
    rows = [("phase", "epochs", "best", "weights trained", "seconds", "val. accuracy", "val. loss")]
    for phase in metrics["phases"]:
        best = "before" if phase["best_epoch"] == 0 else str(phase["best_epoch"])
        scores = phase["validation"]
        rows.append(
            (
                phase["name"],
                str(phase["epochs"]),
                best,
                f"{phase['trainable_parameters']:,}",
                f"{phase['seconds']:.1f}",
                f"{scores['accuracy']:.3f}",
                f"{scores['loss']:.3f}",
            )
        )
    lines += _aligned(rows)
    if metrics["phases"][-1]["best_epoch"] == 0:
        lines.append("Phase 2 did not beat phase 1 on validation: phase 1's weights are exported.")
    lines += ["", *_scores(test), f"Wrote {folder} in {metrics['seconds']['total']:.0f} s."]
    return "\n".join(lines + _warnings(metrics))


def evaluation(report: dict[str, Any], metrics: dict[str, Any], source: str) -> str:
    """What `evaluate` says."""
    head = f"{source}: {report['images']} images"
    if report["excluded_as_seen"]:
        head += f" ({report['excluded_as_seen']} that training saw are left out)"
    return "\n".join([head, *_scores(report), *_warnings(metrics)])


def predictions(records: Sequence[dict[str, Any]], metrics: dict[str, Any]) -> str:
    """What `predict` says."""
    rows = [("path", "label", "confidence")]
    rows += [
        (record["path"], record.get("label", "-"), record.get("error") or f"{record['confidence']:.3f}")
        for record in records
    ]
    return "\n".join(_aligned(rows) + _warnings(metrics))


def bases(rows: Iterable[Base]) -> str:
    """What `bases` says: the last block is the one named first to `--thaw 1`."""
    cells = [("base", "px", "M weights", "GFLOPs", "features", "thaws by default", "blocks, from the top down")]
    for row in rows:
        names = [block.name for block in reversed(row.blocks)]
        shown = " ".join(names[:6]) + (" ..." if len(names) > 6 else "")
        cells.append(
            (
                row.name,
                str(row.size),
                f"{row.parameters / 1e6:.1f}",
                f"{row.gflops:.1f}",
                str(row.features),
                row.top,
                shown,
            )
        )
    return "\n".join(_aligned(cells))


def cache(records: Sequence[dict[str, Any]]) -> str:
    """What `cache` says."""
    if not records:
        return "No activations are stored."
    rows = [("base", "boundary", "px", "view", "images", "MB", "last used")]
    for record in records:
        key, used = record["key"], time.strftime("%Y-%m-%d %H:%M", time.localtime(record["last_used"]))
        size = f"{record['bytes'] / 1e6:.1f}"
        rows.append(
            (key["base"], key["boundary"], str(key["size"]), str(key["view"]), str(record["images"]), size, used)
        )
    return "\n".join([*_aligned(rows), f"{sum(record['bytes'] for record in records) / 1e9:.2f} GB in all."])


def _choices(metrics: dict[str, Any], recipe: Recipe) -> list[str]:
    head = f"head by {recipe.head_solver}"
    if metrics["thawed"] == "none" or not recipe.fine_tune_epochs:
        return [head, "nothing thawed"]
    return [
        head,
        f"thawed from {metrics['thawed']}",
        f"{recipe.fine_tune_epochs} epochs at {recipe.fine_tune_lr:g}",
        f"batches of {recipe.batch_size}",
        f"label smoothing {recipe.label_smoothing:g}",
        f"views {recipe.views}",
        f"refit {recipe.refit}",
    ]


def _scores(report: dict[str, Any]) -> list[str]:
    low, high = report["accuracy_interval"]
    return [
        f"Test accuracy {report['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f}, {report['images']} images), "
        f"top-5 {report['top5_accuracy']:.3f}, macro F1 {report['macro_f1']:.3f},",
        f"loss {report['loss']:.3f}, expected calibration error {report['expected_calibration_error']:.3f}.",
    ]


def _warnings(metrics: dict[str, Any]) -> list[str]:
    return [_RANDOM] if metrics.get("weights") == "random" else []


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-align words, right-align columns whose cells below the heading are all numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = [
        all(cell.replace(",", "").replace(".", "", 1).isdigit() for cell in column[1:])
        for column in zip(*rows, strict=True)
    ]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in rows
    ]
