"""This project against the guide's loop, other libraries, a bare forward pass, and bare training steps."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.libraries import installed
from benchmarks.results import spread
from keras_transfer.compute import device
from keras_transfer.network.bases import find
from keras_transfer.recipe.recipe import Recipe

Runs = dict[str, list[dict[str, Any]]]
_TESTS = 100  # Test photos where only time and memory are asked for.
_TITLES = {"guide": "guide loop", "keras_hub": "KerasHub", "torch": "PyTorch"}


def measure(spec: dict[str, Any], base: str, views: list[int], pairs: int) -> Runs:
    """Run every contender in turn, `pairs` times, each time on another draw of the photos.

    Where this project computes in half precision, the guide's loop runs in it, too, besides its own float32.
    """
    name = find(base).name
    policy = device.policy(device.plan(Recipe(base=name)).precision)
    half: list[tuple[str, str, dict[str, Any]]] = []
    if policy != "float32":
        half.append((f"guide loop, {policy}", "guide", {"policy": policy}))
    # Bare training steps compare with phase 2 only where both run as many epochs; a probe's accuracy with defaults'.
    names = ["guide", *installed(name), "floor", "probe" if spec["defaults"] else "top"]
    found: Runs = {}
    for pair in range(pairs):
        with split_folder(spec["data"], spec["images"], pair) as (data, classes):
            whole = {**spec, "data": data, "classes": classes, "base": name, "seed": pair}
            turns = [("project", "project", {"views": views[0]}), *((one, one, {}) for one in names), *half]
            turns += [(f"project {count}", "project", {"views": count, "once": True}) for count in views[1:]]
            for title, contender, changes in turns:
                found.setdefault(title, []).append(run(contender, {**whole, **changes}))
                print(base, pair, title, json.dumps(found[title][-1]), file=sys.stderr, flush=True)
    return found


def rows(runs: Runs) -> dict[str, str]:
    """Return what a base's column says, by the name of the row; ratios are taken pair by pair."""

    def ratio(one: str, key: str, other: str, key_other: str = "seconds") -> str:
        return spread([a[key] / b[key_other] for a, b in zip(runs[one], runs[other], strict=True)])

    def plain(name: str, key: str) -> str:
        values = [run[key] for run in runs[name]]
        return "-" if None in values else spread(values)

    views = [title for title in runs if title.startswith("project ")]
    loops = {name: _TITLES.get(name, name) for name in runs if name in _TITLES or name.startswith("guide")}
    found = {f"{loops[name]} / project, data to trained weights": ratio(name, "seconds", "project") for name in loops}
    for title in views:
        found[f"guide loop / project with {title.split()[1]} stored views"] = ratio("guide", "seconds", title)
    found["phase 1 / floor"] = ratio("project", "phase 1", "floor")
    if "top" in runs:
        found["phase 2 / bare training steps"] = ratio("project", "phase 2", "top")
    found["second fit until it trains / first fit"] = ratio("project", "again until training", "project")
    found["guide loop / project, whole programs"] = ratio("guide", "program", "project", "program")
    found["test accuracy, project"] = plain("project", "accuracy")
    found |= {f"test accuracy, project with {title.split()[1]} views": plain(title, "accuracy") for title in views}
    found["test accuracy, guide loop"] = plain("guide", "accuracy")
    if "probe" in runs:
        found["test accuracy, logistic-regression probe"] = plain("probe", "accuracy")
    for name in ("project", *loops):
        found[f"peak memory, MB, {loops.get(name, name)}"] = plain(name, "peak MB")
    return found


def table(columns: dict[str, dict[str, str]]) -> list[str]:
    """Return the lines of a table with a column for each base."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    head = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return head + [f"| {name} | {' | '.join(column.get(name, '-') for column in columns.values())} |" for name in names]


def growth(spec: dict[str, Any], images: list[int], epochs: list[int]) -> Iterator[str]:
    """Yield the lines of a table of time and memory against the first row's."""
    yield from ("| images | epochs | time to trained weights | peak memory |", "|---|---|---|---|")
    first: dict[str, Any] = {}
    for count in images:
        with split_folder(spec["data"], count, 0, _TESTS) as (folder, classes):
            for number in epochs:
                whole = {**spec, "data": folder, "classes": classes, "epochs": number, "seed": 0, "once": True}
                found = run("project", whole)
                first = first or found
                times, memory = found["seconds"] / first["seconds"], found["peak MB"] / first["peak MB"]
                yield f"| {count} | {number} | {times:.2f} | {memory:.2f} |"


@contextmanager
def split_folder(data: str, images: int, seed: int, tests: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield a folder with `train/`, `images` links, as many a class, and `test/`, the rest or so many of it; and how
    many classes.
    """
    classes = sorted(path for path in Path(data).iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as folder:
        for source in classes:
            files = sorted(source.iterdir())
            random.Random(seed).shuffle(files)
            last = None if tests is None else (images + tests) // len(classes)
            for number, file in enumerate(files[:last]):
                part = Path(folder) / ("train" if number < images // len(classes) else "test") / source.name
                part.mkdir(parents=True, exist_ok=True)
                (part / file.name).symlink_to(file.resolve())
        yield folder, len(classes)


def run(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Run a contender in a process of its own and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.contenders", name, json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
