"""The study behind `keras_transfer/recipe/rule.py`: what each choice reaches on test images, against the head alone.

For each base, set, number of images a class and seed, every choice trains on the same images and is tested on the same
others, from stored activations. Records are appended to a file as they come, so that a study that was stopped goes on
where it was; the table is made from that file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import classical
from keras_transfer.compute import device
from keras_transfer.data import sources
from keras_transfer.data.examples import SPLITS, Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.network import network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.recipe.rule import complete
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.tasks import task_of
from keras_transfer.training import methods, transfer
from keras_transfer.training.setup import Setup
from keras_transfer.training.trainer import Trainer

_MANY_A_CLASS = 25  # Images from which on draws are summed up.
_HELD_OUT = 0.15 / 0.85  # Share of the images that are not for the test, as `--split 70/15/15` has it.
_SCORES = ("accuracy", "loss", "expected_calibration_error")
HEAD, RULE = "head", "by rule"
GUIDE = "Keras's guide"
_CHANGES: dict[str, dict[str, Any]] = {
    "bilinear": {"enlarge": "bilinear"},
    "bicubic": {"enlarge": "bicubic"},
    "L2-SP 0.01": {"l2_sp": 0.01},
    "rate / 3": {"fine_tune_lr": 1e-4},
    "rate x 3": {"fine_tune_lr": 1e-3},
    "conv4": {"thaw": "conv4"},  # The last two stages of ResNet50.
    "8 blocks": {"thaw": "8"},
    "14 blocks": {"thaw": "14"},
    "16 blocks": {"thaw": "16"},
    "8 epochs": {"fine_tune_epochs": 8},
    "12 epochs": {"fine_tune_epochs": 12},
    "12 epochs, 4 views": {"fine_tune_epochs": 12, "views": 4},
    "10 epochs, batch 16": {"fine_tune_epochs": 10, "batch_size": 16},
    "16 epochs": {"fine_tune_epochs": 16},
    "20 epochs": {"fine_tune_epochs": 20},
    "30 epochs": {"fine_tune_epochs": 30},
    "patience 3": {"patience": 3},
    "best epoch": {"patience": 100},  # Patience that never ends a run keeps its best epoch instead of its last.
    "4 views": {"views": 4},
    "fresh views": {"views": "fresh"},
    "no smoothing": {"label_smoothing": 0.0},
    "weight decay": {"weight_decay": 0.05},
    "dropout": {"dropout": 0.2},
    "EMA": {"ema": 0.99},
    "EMA 0.98": {"ema": 0.98},
    "EMA 0.9": {"ema": 0.9},
    "refit": {"refit": "on"},
    "class weights": {"class_weights": "balanced"},
}
# Options of the program by the name of the choice; `{top}` is the block from which the last stage is trained, `{deep}`
# that from which two thirds are.
CHOICES: dict[str, dict[str, Any]] = {
    HEAD: {"thaw": "none", "views": 1},
    GUIDE: {},
    "head, 4 views": {"thaw": "none", "views": 4},
    "head, 8 views": {"thaw": "none", "views": 8},
    **{name: {} for name in classical.CLASSIFIERS},
    RULE: {},
    "last stage": {"thaw": "{top}"},
    "last stage, rate x 3": {"thaw": "{top}", "fine_tune_lr": 3e-4},
    "two thirds": {"thaw": "{deep}"},
    "everything": {"thaw": "all"},
    **{f"{RULE}, {change}": options for change, options in _CHANGES.items()},
}


def pool(examples: Examples, a_class: int, seed: int) -> Examples:
    """Return the examples with `a_class` images of each class to train and validate on, and others to test.

    A source with a test split is tested on that; of another, all images that are not drawn test.
    """
    given = examples.splits == SPLITS.index("test")
    splits = np.full(len(examples), SPLITS.index("test"), "int8")
    generator = np.random.default_rng(seed)
    for label in range(len(examples.classes)):
        indices = generator.permutation(np.flatnonzero((examples.labels == label) & ~given))
        drawn = indices[:a_class]
        held = max(1, round(_HELD_OUT * len(drawn)))
        splits[drawn[:held]], splits[drawn[held:]] = SPLITS.index("validation"), SPLITS.index("train")
        if given.any():
            splits[indices[a_class:]] = -1
    chosen = replace(examples, splits=splits)
    return chosen.at(np.flatnonzero(splits >= 0)) if given.any() else chosen


def measure(
    recipe: Recipe, a_class: Sequence[int], seeds: Sequence[int], choices: Sequence[str], file: Path
) -> Iterator[dict[str, Any]]:
    """Yield a record a draw and choice that the file does not hold yet, and append it there. Its `seconds` are of
    processors, which depend little on what else runs, from the split to the probabilities of the test images.

    Args:
        recipe: Gives base, weights, data and, where it is not to be chosen, size.
        a_class: Images a class, validation included.
        seeds: Of the draws.
        choices: Of `CHOICES`.
        file: JSON, one record a line.
    """
    progress = Progress(quiet=True)
    done = {_key(record) for record in read(file)}
    examples, _ = inspector.inspect(sources.load(recipe.data), recipe.max_pixels, progress)
    recipe = recipe.replace(size=transfer.with_pixels(recipe, examples, progress).size)
    of_all = {"base": Path(recipe.base).stem, "data": _name(recipe.data), "size": int(recipe.size)}
    for count in a_class:
        for seed in seeds:
            split = pool(examples, count, seed)
            for choice in choices:
                record = {**of_all, "a_class": count, "seed": seed, "choice": choice}
                if _key(record) in done:
                    continue
                run = _elsewhere if choice == GUIDE or choice in classical.CLASSIFIERS else _run
                started = time.process_time()
                record |= run(transfer.with_pixels(recipe.replace(seed=seed), split, progress), split, choice)
                record["seconds"] = time.process_time() - started
                record.setdefault("training", record["seconds"])  # Elsewhere, features and training are not told apart.
                with file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(record) + "\n")
                yield record


def _run(recipe: Recipe, split: Examples, choice: str) -> dict[str, Any]:
    """Train as a choice says and return test scores, and the seconds of processors that training took, without the
    features, of which a draw's first choice computes what the others find.
    """
    progress, timer = Progress(quiet=True), Stopwatch(time.process_time)
    with transfer.built_in_float32():
        pretrained = transfer.load_base(recipe, progress)
        blocks = pretrained.spec.blocks
        names = {"top": pretrained.spec.top, "deep": blocks[len(blocks) - max(1, round(2 / 3 * len(blocks)))].name}
        options = {
            key: value.format(**names) if isinstance(value, str) else value for key, value in CHOICES[choice].items()
        }
        chosen = complete(recipe.replace(**options), len(split.indices("train")))
        objective = task_of(split)
        built = network.build(pretrained.base, pretrained.spec, chosen, len(split.classes), objective.output())
        plan = device.plan(chosen, objective.needs_float32)
        trainer = Trainer(Setup(chosen, pretrained, built, split, objective, plan, progress), timer)
        methods.run(trainer)
        test = split.indices("test")
        probabilities = np.asarray(built.output(trainer.logits(test)))
    return {
        **_scores(split, probabilities),
        "phase": trainer.exported.name,
        "thawed": trainer.thawed,
        "training": sum(timer.seconds.get(part, 0.0) for part in ("head", "head, views", "fine-tune", "full", "refit")),
        "computed": trainer.computed,
    }


def _elsewhere(recipe: Recipe, split: Examples, choice: str) -> dict[str, Any]:
    """Train as Keras's guide does, or a classifier of scikit-learn, and return what `_run` does, but for `training`."""
    from benchmarks import guide

    if choice == GUIDE:
        probabilities = guide.probabilities(recipe, split)
    else:
        probabilities = classical.probabilities(recipe, split, choice)
    thawed = "all" if choice == GUIDE else "none"
    scores = _scores(split, probabilities)
    return {**scores, "phase": choice, "thawed": thawed, "computed": 0}


def _scores(split: Examples, probabilities: np.ndarray) -> dict[str, float]:
    report = task_of(split).report(probabilities, split.labels[split.indices("test")])
    return {name: report[name] for name in (*_SCORES, "calibration_error_by_chance")}


def read(file: Path) -> list[dict[str, Any]]:
    """Return the records of a file; none if there is none."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def table(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return, for each base, set, number of images and choice, the mean over seeds and the gain over the head."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda record: (*_key(record)[:4], list(CHOICES).index(record["choice"]))):
        groups.setdefault((*_key(record)[:4], record["choice"]), []).append(record)
    lines = [
        "| base | data | px | a class | choice | test accuracy | gain over the head, points | loss | calibration error "
        "| fine-tuning kept | training, processor seconds / head's | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (*draw, choice), group in groups.items():
        heads = {record["seed"]: record for record in groups.get((*draw, HEAD), [])}
        pairs = [(record, heads[record["seed"]]) for record in group if record["seed"] in heads]
        means = [float(np.mean([record[key] for record in group])) for key in _SCORES]
        kept = sum(record["phase"] in ("fine-tune", GUIDE) for record in group)
        times = [record["training"] / head["training"] for record, head in pairs]
        cells = [*draw, choice, f"{means[0]:.3f}", _interval(_gains(pairs)), f"{means[1]:.3f}", f"{means[2]:.3f}"]
        cells += [f"{kept} of {len(group)}", f"{np.median(times):.1f}" if times else "", len(group)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    note = (
        "Of several runs of the command, one for each set, base and size; of a draw's images, all choices had the same."
    )
    return [*lines, "", note, *_summary(records)]


def _summary(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the rule gains over the head and over Keras's guide, all draws of enough images taken together."""
    records = [record for record in records if record["a_class"] >= _MANY_A_CLASS]
    of_rule = {_key(record)[:-1]: record for record in records if record["choice"] == RULE}
    lines = []
    for choice in (HEAD, GUIDE):
        others = {_key(record)[:-1]: record for record in records if record["choice"] == choice}
        pairs = [(of_rule[draw], others[draw]) for draw in of_rule if draw in others]
        if pairs:
            gains = _gains(pairs)
            seconds, others_seconds = (sum(record["seconds"] for record in side) for side in zip(*pairs, strict=True))
            # Of a head's seconds, features that an earlier record left are no part.
            time = f"; {seconds / others_seconds:.2f} times its processor's time" if choice == GUIDE else ""
            lines.append(
                f"By rule minus {choice}, {_MANY_A_CLASS} images a class and more: {_interval(gains)} points over "
                f"{len(gains)} draws, {min(gains):+.1f} in the worst{time}."
            )
    return lines


def _gains(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[float]:
    return [100 * (record["accuracy"] - other["accuracy"]) for record, other in pairs]


def _interval(gains: Sequence[float]) -> str:
    """Return the mean with the half-width of its 95% interval by Student's t, where there are several."""
    if not gains:
        return ""
    if len(gains) == 1:
        return f"{gains[0]:+.1f}"
    from scipy.stats import t

    half = float(t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / np.sqrt(len(gains)))
    return f"{np.mean(gains):+.1f} ± {half:.1f}"


def _name(data: str) -> str:
    return data if ":" in data else Path(data).stem


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[key] for key in ("base", "data", "size", "a_class", "seed", "choice"))
