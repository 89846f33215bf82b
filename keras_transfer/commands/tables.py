"""Aligned tables of results, as the commands print them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.commands.layout import NARROW, aligned, with_path, wrapped
from keras_transfer.evaluation import per_class
from keras_transfer.evaluation.cautions import cautions
from keras_transfer.evaluation.headline import headline, short
from keras_transfer.recipe import choices
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.numerals import float32_text, number_text
from keras_transfer.support.paths import portable
from keras_transfer.support.program import program
from keras_transfer.versions import phases

if TYPE_CHECKING:
    from keras_transfer.exports.convert import Exported
    from keras_transfer.studies.recommend import Candidate, Recommendation

_RANDOM = "Random weights: these numbers show that everything works, not what transfer gains."


def run(metrics: dict[str, Any], recipe: Recipe, folder: str, training: Mapping[str, int], width: int = NARROW) -> str:
    """What `fit` says at its end; `training` counts the training images of each class."""
    data, test = metrics["data"], metrics["test"]
    report = Path(folder) / "assets.extra" / "report.html"
    counts = f"{data['train']:,} / {data['validation']:,} / {data['test']:,}"
    computed = "features from the cache" if metrics["engine"] == "cache" else f"engine {metrics['engine']}"
    settings = [
        f"{metrics['base']}, weights {portable(metrics['weights'])}, {metrics['size']} px, {computed}, "
        f"{metrics['precision']}, seed {metrics['seed']}",
        f"{portable(data['source'])}: {_task_name(metrics)}, {counts} images to train / validate / test"
        f"{_left_out(data)}",
        *choices.after_training(recipe, metrics),
    ]
    results = [_scores(test, len(data["classes"])), *phases.folds(metrics)]
    lines = [
        *(wrapped(line, width, "  ") for line in settings),
        "",
        *aligned(phases.table(metrics["phases"])),
        *(wrapped(line, width) for line in phases.told(metrics)),
        "",
        *(wrapped(line, width) for line in [*results, *_warnings(metrics), *_cautions(test, training)]),
        *_classes(test, width),
        "",
        with_path("Wrote ", folder, width, f" in {metrics['seconds']['total']:.0f} s."),
        *([with_path("Report:     ", str(report), width)] if report.is_file() else []),
        with_path("Model card: ", f"{folder}/assets.extra/README.md", width),
        with_path("Records:    ", f"{folder}/assets.extra/", width, " (metrics.json, history.csv, ...)"),
        "",
        *_next(folder),
    ]
    return "\n".join(lines)


def _next(folder: str) -> list[str]:
    """The commands that come after a fit, ready to copy."""
    model = shlex.quote(str(Path(folder).parent))
    return [
        "Next:",
        f"  {program()} predict {model} a.jpg",
        f"  {program()} evaluate {model} more-photos/ --html more.html",
        f"  {program()} serve {model} --embedded",
    ]


def _cautions(report: dict[str, Any], training: Mapping[str, int]) -> list[str]:
    return [f"Warning: {line}" for line in cautions(report, training)]


def evaluation(
    report: dict[str, Any], metrics: dict[str, Any], source: str, training: Mapping[str, int], width: int = NARROW
) -> str:
    """What `evaluate` says; `training` counts the training images of each class."""
    head = f"{source}: {report['images']} images{_left_out({'rejected': len(report['rejected'])})}"
    if report["excluded_as_seen"]:
        head += f" ({report['excluded_as_seen']} that training saw are left out)"
    scores = _scores(report, len(metrics.get("data", {}).get("classes", ()))).removeprefix("Test ")
    scores = scores[0].upper() + scores[1:]
    lines = [head, scores, *_warnings(metrics), *_cautions(report, training)]
    return "\n".join([*(wrapped(line, width) for line in lines), *_classes(report, width)])


def _classes(report: dict[str, Any], width: int) -> list[str]:
    """The table of the worst classes, behind an empty line, or why there is none."""
    reason, table = per_class.too_few(report), aligned(per_class.table(report), width, (0, 4))
    return [wrapped(reason, width)] if reason else ["", *table] if table else []


def predictions(records: Sequence[dict[str, Any]], metrics: dict[str, Any], width: int = NARROW) -> str:
    """What `predict` says."""
    if any("value" in record for record in records):
        rows: list[tuple[str, ...]] = [("path", "value")]
        rows += [(record["path"], float32_text(record["value"]) if "value" in record else "-") for record in records]
    else:
        rows = [("path", "label", "confidence")]
        for record in records:
            if record.get("error"):
                rows.append((record["path"], "-", "-"))
            else:
                rows.append((record["path"], record["label"] or "(none)", f"{record['confidence']:.3f}"))
    return "\n".join([*aligned(rows, width, (0, 1)), *_warnings(metrics)])


def recommendation(answer: Recommendation, options: Sequence[str] = (), width: int = NARROW) -> str:
    """What `recommend` says; `options` are those that it was given and `fit` has too."""
    score = headline(answer.candidates[0].scores)
    rows: list[tuple[str, ...]] = [("base", "", short(score), "loss", "px", "GFLOPs", "MB", "weights")]
    rows += [
        (
            candidate.base,
            _mark(candidate, answer),
            *(f"{candidate.scores[name]:.3f}" for name in (score, "loss")),
            str(candidate.size),
            "-" if candidate.gflops is None else f"{candidate.gflops:.1f}",
            str(candidate.download_mb),
            portable(candidate.weights),
        )
        for candidate in answer.candidates
    ]
    notes = [
        f"By heads on frozen features, cross-validated over {answer.images:,} images; those for the test took no part. "
        "Fine-tuning may change the order.",
        _recommended(answer),
    ]
    lines = [*aligned(rows, width, (0, 7), expendable=1), "", *(wrapped(note, width) for note in notes)]
    if answer.recommended is not None:
        fit = shlex.join([answer.source, *options, "--base", answer.recommended])
        lines += ["", "Next:", f"  {program()} fit {fit}"]
    return "\n".join(lines)


def _mark(candidate: Candidate, answer: Recommendation) -> str:
    if candidate.trained_on:
        return f"trained on {candidate.trained_on}"
    return "recommended" if candidate.base == answer.recommended else "as good" if candidate.as_good else ""


def _recommended(answer: Recommendation) -> str:
    seen = "some of these images, so that their scores are too good"
    if answer.recommended is None:
        return f"None is recommended: all were trained on {seen}. Compare them on other images."
    others = any(candidate.trained_on for candidate in answer.candidates)
    passed_over = f" Those marked as trained on images were trained on {seen}, and are passed over."
    return f"Recommended: {answer.recommended}, {_why_recommended(answer)}.{passed_over * others}"


def _why_recommended(answer: Recommendation) -> str:
    equals = [candidate for candidate in answer.candidates if candidate.as_good]
    if len([candidate for candidate in answer.candidates if not candidate.trained_on]) == 1:
        return "the only one that was not trained on these images"
    if len(equals) == 1:
        return "the one of the least loss, by more than chance"
    cheapest = "least costly" if all(candidate.gflops for candidate in equals) else "smallest"
    return f"the {cheapest} of the {len(equals)} whose losses differ by no more than chance"


def exported(report: Exported, width: int = NARROW) -> str:
    """What `export` says."""
    size = f", {report.format} {report.precision}, {report.bytes / 1e6:.1f} MB."
    written = with_path("Wrote ", str(report.file), width, size)
    rule = wrapped(report.input, width)
    if not report.images:
        return f"{written}\n{rule}"
    answer = "class" if report.accuracy is not None else "labels"
    same = "" if report.agreement is None else f"the same {answer} on {report.agreement:.1%}, "
    accuracy = ""
    if report.accuracy is not None:
        accuracy = f"; accuracy {report.accuracy:.3f}, the SavedModel's {report.model_accuracy:.3f}"
    compared = (
        f"Compared with the SavedModel on {report.images} test images: {same}"
        f"largest difference {'' if report.agreement is None else 'of a probability '}"
        f"{number_text(report.largest_difference or 0.0, 2)}"
        f"{accuracy}."
    )
    if report.default_precision is not None:
        compared += (
            f" That is in float32: OpenVINO computes in {report.default_precision} on this machine unless "
            'INFERENCE_PRECISION_HINT is "f32"; largest difference then '
            f"{number_text(report.default_difference or 0.0, 2)}."
        )
    return f"{written}\n{wrapped(compared, width)}\n{rule}"


def _task_name(metrics: dict[str, Any]) -> str:
    from keras_transfer.tasks import task_in  # Not for help: it imports NumPy.

    task, classes = task_in(metrics), metrics["data"]["classes"]
    if not task.has_classes:
        return f"{task.name} of {classes[0]!r}"
    return f"{len(classes)} classes{', several an image' * (not task.single_label)}"


def _left_out(data: dict[str, Any]) -> str:
    return f"; {data['rejected']} left out" if data.get("rejected") else ""


def _scores(report: dict[str, Any], classes: int) -> str:
    if not report["images"]:
        return "The version was not tested."
    if "root_mean_squared_error" in report:
        r2 = f"R2 {report['r2']:.3f}".replace("nan", "undefined")  # Of a single image, or equal numbers.
        return (
            f"Test mean absolute error {number_text(report['mean_absolute_error'], 4)}, root mean squared error "
            f"{number_text(report['root_mean_squared_error'], 4)}, {r2} ({report['images']} images)."
        )
    if "exact_match" in report:
        low, high = report["exact_match_interval"]
        return (
            f"Test mean average precision {report['mean_average_precision']:.3f}, macro F1 {report['macro_f1']:.3f}, "
            f"micro F1 {report['micro_f1']:.3f}, every label right {report['exact_match']:.3f} "
            f"(95% interval {low:.3f} to {high:.3f}, {report['images']} images), loss {report['loss']:.3f}."
        )
    low, high = report["accuracy_interval"]
    error, by_chance = report["expected_calibration_error"], report.get("calibration_error_by_chance")
    # Earlier releases did not write it.
    chance = "" if by_chance is None else f" (by chance alone {by_chance:.3f})"
    top5 = f"top-5 {report['top5_accuracy']:.3f}, " if classes > 5 else ""
    return (
        f"Test accuracy {report['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f}, {report['images']} images), "
        f"{top5}macro F1 {report['macro_f1']:.3f}, loss {report['loss']:.3f}, "
        f"expected calibration error {error:.3f}{chance}."
    )


def _warnings(metrics: dict[str, Any]) -> list[str]:
    return [_RANDOM] if metrics.get("weights") == "random" else []
