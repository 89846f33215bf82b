"""Aligned tables of results, as the commands print them."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_transfer.network import imagenet
from keras_transfer.network.bases import Base
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.paths import shown

if TYPE_CHECKING:
    from keras_transfer.exports.convert import Exported
    from keras_transfer.studies.check.convert import Converted
    from keras_transfer.studies.check.findings import Findings, Warned
    from keras_transfer.versions.folders import Version

_RANDOM = "Random weights: these numbers show that everything works, not what transfer gains."


def run(metrics: dict[str, Any], recipe: Recipe, folder: str) -> str:
    """What `fit` says at its end."""
    data, test = metrics["data"], metrics["test"]
    counts = f"{data['train']} / {data['validation']} / {data['test']}"
    lines = [
        f"{metrics['base']}, weights {metrics['weights']}, {metrics['size']} px, engine {metrics['engine']}, "
        f"{metrics['precision']}, seed {metrics['seed']}",
        f"{shown(data['source'])}: {_asked(metrics)}, {counts} images to train / validate / test{_left_out(data)}",
        *_choices(metrics, recipe),
        "",
    ]
    lines += [*_aligned(_phases(metrics["phases"])), *_exported(metrics["phases"])]
    lines += [
        "",
        *_scores(test),
        *_folds(metrics.get("folds")),
        f"Wrote {folder} in {metrics['seconds']['total']:.0f} s.",
    ]
    return "\n".join(lines + _warnings(metrics))


def _phases(phases: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The table of what each phase reached, whether it was kept or not."""
    score = next(name for name in phases[0]["validation"] if name != "loss")
    table: list[tuple[str, ...]] = [("phase", "epochs", "best", "trainable", "seconds", f"val. {score}", "val. loss")]
    for phase in phases:
        scores = phase.get("reached", phase["validation"])
        table.append(
            (
                phase["name"],
                str(phase["epochs"]),
                str(scores.get("epoch", phase["best_epoch"])),
                f"{phase['trainable_parameters']:,}",
                f"{phase['seconds']:.1f}",
                *(f"{scores[name]:.3f}" if name in scores else "-" for name in (score, "loss")),
            )
        )
    return table


def _exported(phases: Sequence[dict[str, Any]]) -> list[str]:
    """Say which network is exported, and why, where it is not simply the last one."""
    lines = []
    tuned = next((phase for phase in phases if "reached" in phase), None)
    if tuned is not None and not tuned["best_epoch"]:
        before, after = tuned["before"], tuned["reached"]
        score = next(name for name in before if name != "loss")
        lines.append(
            f"Fine-tuning did not improve the validation loss ({before['loss']:.4f} before, {after['loss']:.4f} after; "
            f"{score} {before[score]:.3f}, {after[score]:.3f}), so the head is kept."
        )
    if phases[-1]["name"] == "refit":
        refit = phases[-1]
        if not refit["best_epoch"]:
            loss = refit["training_loss"]
            lines.append(
                f"Trained again on training and validation images, the loss on the training images was worse "
                f"({loss['before']:.4f} before, {loss['after']:.4f} after), so the validated network is exported."
            )
        elif refit["validation"]:
            lines.append(
                f"Exported: the head solved again on all {refit['images']} training and validation images; its scores "
                "are those of cross-validation."
            )
        else:
            lines.append(
                f"Exported: the network trained again on all {refit['images']} training and validation images, by the "
                "same schedule. It was not validated."
            )
    return lines


def evaluation(report: dict[str, Any], metrics: dict[str, Any], source: str) -> str:
    """What `evaluate` says."""
    head = f"{source}: {report['images']} images{_left_out({'rejected': len(report['rejected'])})}"
    if report["excluded_as_seen"]:
        head += f" ({report['excluded_as_seen']} that training saw are left out)"
    return "\n".join([head, *_scores(report), *_warnings(metrics)])


def predictions(records: Sequence[dict[str, Any]], metrics: dict[str, Any]) -> str:
    """What `predict` says."""
    if any("value" in record for record in records):
        rows: list[tuple[str, ...]] = [("path", "value")]
        rows += [(record["path"], record.get("error") or f"{record['value']:.6g}") for record in records]
    else:
        rows = [("path", "label", "confidence")]
        rows += [
            (record["path"], record.get("label", "-"), record.get("error") or f"{record['confidence']:.3f}")
            for record in records
        ]
    return "\n".join(_aligned(rows) + _warnings(metrics))


_MOST_FINDINGS = 8  # Of a kind, in the terminal.


def check(found: Findings) -> str:
    """What `check` says."""
    from keras_transfer.studies.check.findings import KINDS

    splits = list(found.splits)
    lines = [f"{found.source}: {found.files:,} images, {len(found.rejected):,} cannot be used"]
    lines += [found.understood] * bool(found.understood)
    if found.classes:
        rows = [("class", "images", *splits)]
        rows += [
            (name, str(count), *(str(found.splits[split].get(name, 0)) for split in splits))
            for name, count in found.classes.items()
        ]
        lines += ["", *_aligned(rows)]
    if found.rejected:
        lines += [
            "",
            "Cannot be used:",
            *_first([f"  {_short(found, path)} {reason}" for path, reason in found.rejected]),
        ]
    for kind, meaning in KINDS.items():
        of_kind = [one for one in found.warnings if one.kind == kind]
        if of_kind:
            lines += [
                "",
                f"{kind} ({len(of_kind)}): {meaning}",
                *_first([f"  {_finding(found, one)}" for one in of_kind]),
            ]
    low, middle, high = found.sizes["short_side"]
    lines += [
        "",
        f"Short sides of {low:.0f} to {high:.0f} px, median {middle:.0f}: --size {found.advised_size} advised.",
    ]
    if found.converted is not None:
        lines += _converted(found.converted)
    if not found.labels_checked:
        lines.append("Labels were not checked: --base names a network to check them with.")
    return "\n".join(lines)


def _converted(copies: Converted) -> list[str]:
    refused = [f"  {name} cannot be converted ({why})" for name, why in copies.refused]
    where = f" in {copies.folder}" if copies.written else ""
    return ["", f"Wrote {len(copies.written)} converted copies{where}.", *_first(refused)]


def _short(found: Findings, path: str) -> str:
    return os.path.relpath(path, found.root)


def _finding(found: Findings, one: Warned) -> str:
    shown = ", ".join(_short(found, path) for path in one.paths[:3]) + (
        f" and {len(one.paths) - 3} more" if len(one.paths) > 3 else ""
    )
    return f"{shown}: {one.detail}" if shown else one.detail


def _first(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST_FINDINGS
    return lines if rest <= 0 else [*lines[:_MOST_FINDINGS], f"  and {rest} more (--json and --html show all)"]


def exported(report: Exported) -> str:
    """What `export` says."""
    written = f"Wrote {report.file}, {report.format} {report.precision}, {report.bytes / 1e6:.1f} MB."
    if not report.images:
        return written
    same = "" if report.agreement is None else f"the same answer on {report.agreement:.1%}, "
    return (
        f"{written}\n"
        f"Compared with the SavedModel on {report.images} test images: {same}"
        f"largest difference {report.largest_difference:.2g}."
    )


def models(versions: Sequence[Version]) -> str:
    """What `models` says."""
    if not versions:
        return "There are no models."
    rows = [("model", "version", "base", "weights", "test", "score", "MB", "written")]
    for one in versions:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.modified))
        name, score = one.score
        size = f"{one.bytes / 1e6:.1f}"
        rows.append((one.model, str(one.version), one.base, one.weights, name, f"{score:.3f}", size, when))
    return "\n".join(_aligned(rows))


_SMALLEST_WIDTH = 80  # Of a terminal that a table of bases is made for.


def bases(rows: Sequence[Base], width: int = _SMALLEST_WIDTH) -> str:
    """What `bases` says, by use, in at most so many columns: details that do not fit are left out."""
    cells = [("base", "", "top-1", "MB", "px", "GFLOPs", "stored")]
    details = [("M weights", "features", "thaws", "blocks, from the top down")]
    for base in rows:
        accuracy = "-" if base.accuracy is None else f"{base.accuracy:.1%}"
        stored = "yes" if imagenet.file(base.name, base.size).exists() else "-"
        start = "start here" if base.start_here else ""
        cells.append((base.name, start, accuracy, str(base.download_mb), str(base.size), f"{base.gflops:.1f}", stored))
        names = [block.name for block in reversed(base.blocks)]
        shown = " ".join(names[:6]) + (" ..." if len(names) > 6 else "")
        details.append((f"{base.parameters / 1e6:.1f}", str(base.features), base.top, shown))
    for count in range(len(details[0]), -1, -1):
        lines = _aligned([(*row, *more[:count]) for row, more in zip(cells, details, strict=True)])
        if max(map(len, lines)) <= max(width, _SMALLEST_WIDTH):
            break
    heading, *lines = lines
    page, use = [heading], ""
    for base, line in zip(rows, lines, strict=True):
        page += [] if base.use == use else ["", f"{base.use[0].upper()}{base.use[1:]}:"]
        page.append(line)
        use = base.use
    return "\n".join([*page, "", *_BASES_NOTES])


_BASES_NOTES = (
    "top-1: of the ImageNet classifier, by https://keras.io/api/applications/.",
    "MB: what Keras downloads. stored: it is on this machine. GFLOPs: of one image.",
)


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


_NAMES = {
    "head_solver": "head by {}",
    "thaw": "fine-tuned from {}",
    "fine_tune_epochs": "{} epochs",
    "fine_tune_lr": "learning rate {:g}",
    "views": "{} views",
    "label_smoothing": "label smoothing {:g}",
    "batch_size": "batches of {}",
    "refit": "refit {}",
}


def _choices(metrics: dict[str, Any], recipe: Recipe) -> list[str]:
    """What was chosen for the user, and what the user chose, of the options that a run chooses."""
    names = list(_NAMES) if metrics["thawed"] != "none" else ["head_solver", "thaw", "views", "refit"]
    texts = {name: _NAMES[name].format(getattr(recipe, name)) for name in names}
    if metrics["thawed"] == "none":
        texts["thaw"] = "nothing fine-tuned"
    automatic = metrics.get("automatic", names)
    groups = {
        "Chosen automatically": [texts[name] for name in names if name in automatic],
        "As asked": [texts[name] for name in names if name not in automatic],
    }
    return [f"{title}: {', '.join(group)}." for title, group in groups.items() if group]


def _asked(metrics: dict[str, Any]) -> str:
    if metrics.get("task") == "regression":
        return f"regression of {metrics['data']['classes'][0]!r}"
    return f"{len(metrics['data']['classes'])} classes{', several an image' * (metrics.get('task') == 'multi-label')}"


def _left_out(data: dict[str, Any]) -> str:
    return f"; {data['rejected']} left out" if data.get("rejected") else ""


def _folds(folds: dict[str, Any] | None) -> list[str]:
    if folds is None:
        return []
    name = next(name for name in ("accuracy", "r2") if name in folds["mean"])
    mean, spread = folds["mean"][name], folds["standard_deviation"][name]
    each = ", ".join(f"{report[name]:.3f}" for report in folds["each"])
    return [f"{folds['count']} folds: test {name} {mean:.3f}, standard deviation {spread:.3f} ({each})."]


def _scores(report: dict[str, Any]) -> list[str]:
    if not report["images"]:
        return ["The version was not tested."]
    if "root_mean_squared_error" in report:
        return [
            f"Test mean absolute error {report['mean_absolute_error']:.4g}, root mean squared error "
            f"{report['root_mean_squared_error']:.4g}, R2 {report['r2']:.3f} ({report['images']} images)."
        ]
    if "exact_match" in report:
        low, high = report["exact_match_interval"]
        return [
            f"Test mean average precision {report['mean_average_precision']:.3f}, macro F1 {report['macro_f1']:.3f}, "
            f"micro F1 {report['micro_f1']:.3f},",
            f"every label right {report['exact_match']:.3f} (95% interval {low:.3f} to {high:.3f}, "
            f"{report['images']} images), loss {report['loss']:.3f}.",
        ]
    low, high = report["accuracy_interval"]
    return [
        f"Test accuracy {report['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f}, {report['images']} images), "
        f"top-5 {report['top5_accuracy']:.3f}, macro F1 {report['macro_f1']:.3f},",
        f"loss {report['loss']:.3f}, expected calibration error {report['expected_calibration_error']:.3f}.",
    ]


def _warnings(metrics: dict[str, Any]) -> list[str]:
    return [_RANDOM] if metrics.get("weights") == "random" else []


# What embeds or overrides a direction of writing: https://www.unicode.org/reports/tr9/.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def printable(text: str) -> str:
    """Return text with `?` for what would move a terminal's cursor, change its colours or turn its lines round."""
    return "".join("?" if _moves_cursor(letter) else letter for letter in text)


def _moves_cursor(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNS


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-align words, right-align columns whose cells below the heading are all numbers."""
    rows = [[printable(cell) for cell in row] for row in rows]
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
