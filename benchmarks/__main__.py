"""`python -m benchmarks speed`, `growth`, `recipe`, `precision`, `serving` and `check`: see `--help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks.results import show

_MARKDOWN = click.option("--markdown", is_flag=True, help="Put the table into benchmarks/RESULTS.md, too.")


@click.group()
def cli() -> None:
    """Measure side by side; every figure is a ratio of runs that took turns on this machine."""


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class.")
@click.option("--bases", default="vgg16,resnet50", help="Bases, separated by commas.")
@click.option("--weights", default="random", help="As `fit` takes them.")
@click.option("--images", default=500, help="Training photos, validation included; the others test.")
@click.option("--epochs", default=10, help="Of each phase.")
@click.option("--guide-epochs", default=0, help="Run so many of loops and bare steps; the rest count as long.")
@click.option("--pairs", default=3, help="How often each contender runs.")
@click.option("--size", default=224, help="Input side, px.")
@click.option("--views", default="1,4", help="Stored views; the first number is compared in all respects.")
@click.option("--defaults", is_flag=True, help="Let this project choose its epochs by rule.")
@_MARKDOWN
def speed(markdown: bool, bases: str, pairs: int, views: str, **options: Any) -> None:
    """This project against the loop of Keras's guide, other libraries, a bare forward pass, and bare training steps."""
    from benchmarks import speed as measured
    from benchmarks.libraries import installed
    from keras_transfer.network.bases import find

    counts = [int(count) for count in views.split(",")]
    columns = {base: measured.rows(measured.measure(options, base, counts, pairs)) for base in bases.split(",")}
    epochs = options["epochs"]
    lines = [
        f"{options['images']} images, {epochs} + {epochs} epochs, {options['size']} px, {pairs} runs of each in turn; "
        "median (least to most)."
    ]
    if options["weights"] == "random":
        lines[0] += " Random weights: times are those of real ones, accuracies are not."
    if options["defaults"]:
        lines[0] += " The project's epochs are those of its rule."
    if options["guide_epochs"]:
        lines[0] += (
            f" Loops and bare steps ran {options['guide_epochs']} epochs a phase; the others count as long as the last."
        )
    against = any(installed(find(base).name) for base in columns)
    show(
        f"speed: {bases}" + (", defaults" if options["defaults"] else "") + (", other libraries" if against else ""),
        [*lines, "", *measured.table(columns)],
        markdown,
    )


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class, of more images than are asked for.")
@click.option("--base", default="mobilenet", help="Base.")
@click.option("--weights", default="random", help="As `fit` takes them.")
@click.option("--size", default=96, help="Input side, px.")
@click.option("--images", default="500,5000", help="Training images.")
@click.option("--epochs", default="1,20", help="Of phase 2.")
@_MARKDOWN
def growth(images: str, epochs: str, markdown: bool, **options: Any) -> None:
    """How time and memory of this project grow with images and epochs, against the first row."""
    from benchmarks import speed as measured

    counts, numbers = ([int(count) for count in text.split(",")] for text in (images, epochs))
    lines = []
    for line in measured.growth(options, counts, numbers):
        print(line, file=sys.stderr, flush=True)
        lines.append(line)
    show(f"growth: {options['base']}", lines, markdown)


@cli.command()
@click.option("--data", required=True, help="Labelled images, as `fit` takes them.")
@click.option("--base", default="mobilenetv2", help="Base, as `fit` takes it.")
@click.option("--weights", default="imagenet", help="As `fit` takes them.")
@click.option("--size", default="auto", help="Input side, px. [default: as `fit` chooses]")
@click.option("--a-class", default="5,10,25,50,100", help="Images a class, validation included; the others test.")
@click.option("--seeds", default=3, help="How many draws.")
@click.option("--choices", default="", help="Names, separated by semicolons. [default: all]")
@click.option("--records", default="recipe.jsonl", help="File that records are appended to and found in again.")
@_MARKDOWN
def recipe(a_class: str, seeds: int, choices: str, records: str, markdown: bool, **options: Any) -> None:
    """What each choice behind `keras_transfer/recipe/rule.py` reaches on test images, against the head alone."""
    from benchmarks import recipe as study
    from keras_transfer.recipe.recipe import Recipe

    names = [name.strip() for name in choices.split(";")] if choices else list(study.CHOICES)
    counts = [int(count) for count in a_class.split(",")]
    file = Path(records)
    for record in study.measure(Recipe(**options), counts, range(seeds), names, file):
        print(json.dumps(record), file=sys.stderr, flush=True)
    # Each file of records has a section of its own.
    show(f"recipe: {file.stem}".removesuffix(": recipe"), study.table(study.read(file)), markdown)


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class.")
@click.option("--base", default="mobilenet", help="Base.")
@click.option("--weights", required=True, help="As `fit` takes them.")
@click.option("--size", default=224, help="Input side, px.")
@click.option("--a-class", default=96, help="Training photos a class, validation included.")
@click.option("--seeds", default=20, help="How many splits.")
@_MARKDOWN
def precision(a_class: int, seeds: int, markdown: bool, **options: Any) -> None:
    """Accuracy of heads that are solved on features of half precision, and served in float32."""
    from benchmarks import precision as measured
    from keras_transfer.recipe.recipe import Recipe

    show(f"precision: {options['base']}", measured.report(Recipe(**options), a_class, seeds), markdown)


@cli.command()
@click.option("--model", required=True, help="A fitted model's folder.")
@click.option("--images", required=True, help="Folder of photos.")
@click.option("--rounds", default=3, help="How often each is measured.")
@click.option("--broken", default=10_000, help="Malformed requests.")
@_MARKDOWN
def serving(model: str, images: str, rounds: int, broken: int, markdown: bool) -> None:
    """The served graph and the embedded server against bare TensorFlow, and malformed requests."""
    from benchmarks import serving as measured

    files = sorted(Path(images).rglob("*.jpg"))[:128]
    show("serving", measured.report(model, files, rounds, broken), markdown)


@cli.command()
@click.option("--data", required=True, help="Folder with one sub-folder per class, of JPEG files.")
@click.option("--images", default=10_000, help="Photos that are made of these.")
@click.option("--rounds", default=3, help="How often each is measured.")
@_MARKDOWN
def check(data: str, images: int, rounds: int, markdown: bool) -> None:
    """The `check` command against bare decoding."""
    from benchmarks import checking

    show("check", checking.report(data, images, rounds), markdown)


if __name__ == "__main__":
    cli()
