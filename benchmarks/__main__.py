"""`python -m benchmarks speed`, `growth`, `rule` and `serving`: see `--help`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.contenders import CONTENDERS
from keras_transfer.bases import find


@click.group()
def cli() -> None:
    """Measure side by side; every figure is a ratio of runs that took turns on this machine."""


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class.")
@click.option("--bases", default="vgg16,resnet50", help="Bases, separated by commas.")
@click.option("--weights", default="random", help="As `fit` takes them.")
@click.option("--images", default=500, help="Training photos, validation included; the others test.")
@click.option("--epochs", default=10, help="Of each phase.")
@click.option("--pairs", default=3, help="How often each contender runs.")
@click.option("--size", default=224, help="Input side, px.")
@click.option("--views", default=1, help="Stored views.")
@click.option("--defaults", is_flag=True, help="Let this project choose its epochs by rule.")
@click.option("--markdown", type=click.Path(), help="Write the table there as well.")
def speed(markdown: str | None, bases: str, pairs: int, **options: Any) -> None:
    """This project against the loop of Keras's guide, a bare forward pass, and bare training steps."""
    lines = [
        f"{options['images']} images, {options['epochs']} + {options['epochs']} epochs, {options['size']} px, "
        f"views {options['views']}, {pairs} runs of each in turn, {os.cpu_count()} cores; median (least to most)",
        "",
        "| base | guide / project | phase 1 / floor | phase 2 / top | again / first | guide / whole command "
        "| MB project | MB guide | accuracy project | accuracy guide |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    # Bare training steps compare with phase 2 only where both run as many epochs.
    names = [name for name in CONTENDERS if not (name == "top" and options["defaults"])]
    for base in bases.split(","):
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for pair in range(pairs):
            with split_folder(options["data"], options["images"], pair) as data:
                spec = {**options, "data": data, "base": find(base).name, "seed": pair}
                for name in names:
                    runs[name].append(measure(name, spec))
                    print(base, pair, name, json.dumps(runs[name][-1]), file=sys.stderr, flush=True)
        lines.append(row(base, runs))
    print("\n".join(lines))
    if markdown:
        Path(markdown).write_text("\n".join(lines) + "\n", "utf-8")


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class.")
@click.option("--base", default="mobilenet", help="Base.")
@click.option("--weights", required=True, help="As `fit` takes them.")
@click.option("--size", default=224, help="Input side, px.")
@click.option("--a-class", default=96, help="Training photos a class, validation included.")
@click.option("--seeds", default=5, help="How many splits.")
@click.option("--grid", help="JSON: choices of each option, instead of those of the rule.")
def rule(data: str, base: str, weights: str, size: int, a_class: int, seeds: int, grid: str | None) -> None:
    """Test accuracy of the choices behind `keras_transfer/rule.py`, mean over seeds."""
    from benchmarks import sweep
    from keras_transfer.recipe import Recipe

    chosen = json.loads(grid) if grid else sweep.GRID
    recipe = Recipe(base=base, data=data, weights=weights, size=size)
    records = []
    for record in sweep.measure(recipe, a_class, seeds, chosen):
        print(json.dumps(record), file=sys.stderr, flush=True)
        records.append(record)
    print(sweep.table(records, list(chosen)))


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class, of more images than are asked for.")
@click.option("--base", default="mobilenet", help="Base.")
@click.option("--weights", default="random", help="As `fit` takes them.")
@click.option("--size", default=96, help="Input side, px.")
@click.option("--images", default="500,5000", help="Training images.")
@click.option("--epochs", default="1,20", help="Of phase 2.")
def growth(data: str, images: str, epochs: str, **options: Any) -> None:
    """How time and memory of this project grow with images and epochs, against the first row."""
    print("| images | epochs | time to trained weights | peak memory |\n|---|---|---|---|")
    first: dict[str, Any] = {}
    for count in map(int, images.split(",")):
        with split_folder(data, count, 0) as folder:
            for number in map(int, epochs.split(",")):
                spec = {**options, "data": folder, "epochs": number, "seed": 0, "once": True}
                found = measure("project", spec)
                first = first or found
                times, memory = found["seconds"] / first["seconds"], found["peak MB"] / first["peak MB"]
                print(f"| {count} | {number} | {times:.2f} | {memory:.2f} |", flush=True)


@cli.command()
@click.option("--model", required=True, help="A fitted model's folder.")
@click.option("--images", required=True, help="Folder of photos.")
@click.option("--rounds", default=3, help="How often each is measured.")
@click.option("--broken", default=10_000, help="Malformed requests.")
def serving(model: str, images: str, rounds: int, broken: int) -> None:
    """The served graph and the embedded server against bare TensorFlow, and malformed requests."""
    from benchmarks import serving as measured

    files = sorted(Path(images).rglob("*.jpg"))[:128]
    print(measured.report(model, files, rounds, broken))


@contextmanager
def split_folder(data: str, images: int, seed: int) -> Iterator[str]:
    """Yield a folder with `train/`, holding `images` links, as many a class, and `test/` with the rest."""
    classes = sorted(path for path in Path(data).iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as folder:
        for source in classes:
            files = sorted(source.iterdir())
            random.Random(seed).shuffle(files)
            for number, file in enumerate(files):
                part = Path(folder) / ("train" if number < images // len(classes) else "test") / source.name
                part.mkdir(parents=True, exist_ok=True)
                (part / file.name).symlink_to(file.resolve())
        yield folder


def measure(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Run a contender in a process of its own and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.contenders", name, json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(base: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    """Return a line of the table: ratios pair by pair."""

    def ratio(one: str, key: str, other: str, key_other: str = "seconds") -> str:
        ratios = [a[key] / b[key_other] for a, b in zip(runs[one], runs[other], strict=True)]
        return spread(ratios)

    def plain(name: str, key: str) -> str:
        return spread([run[key] for run in runs[name]])

    cells = [
        base,
        ratio("guide", "seconds", "project"),
        ratio("project", "phase 1", "floor"),
        ratio("project", "phase 2", "top") if "top" in runs else "-",
        ratio("project", "again until training", "project"),
        ratio("guide", "seconds", "project", "whole command"),
        plain("project", "peak MB"),
        plain("guide", "peak MB"),
        plain("project", "accuracy"),
        plain("guide", "accuracy"),
    ]
    return "| " + " | ".join(cells) + " |"


def spread(values: list[float]) -> str:
    """Return the median with the least and the most."""
    form = "{:.0f}" if median(values) > 100 else "{:.3f}" if median(values) < 1 else "{:.2f}"
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"


if __name__ == "__main__":
    cli()
