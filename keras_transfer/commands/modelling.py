"""Commands that make and use a model: fit, evaluate, predict, and the listing of bases."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from typing import Any

import click

from keras_transfer.commands import tables
from keras_transfer.commands.shared import (
    cli,
    debug_option,
    example,
    json_option,
    load,
    quiet_option,
    recipe_of,
    recipe_options,
)
from keras_transfer.support.errors import UsageError
from keras_transfer.support.paths import shown
from keras_transfer.support.progress import Progress


@cli.command(epilog=example("fit --base mobilenet --data photos/ --output saved_models/photos"))
@recipe_options
@click.option("--resume", is_flag=True, help="Back up after each epoch, and go on where an interrupted run left off.")
@json_option
@quiet_option
@debug_option
def fit(resume: bool, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Transfer a base onto labelled images and write a version that serves."""
    recipe = recipe_of(options)
    from keras_transfer.run import fit as run

    result = run(recipe, Progress(quiet), resume)
    if as_json:
        click.echo(json.dumps({"folder": str(result.folder), **result.metrics}, indent=2))
    else:
        click.echo(tables.run(result.metrics, result.recipe, str(result.folder)))


@cli.command(epilog=example("evaluate saved_models/photos --data photos/"))
@click.argument("model")
@click.option("--data", help="Labelled images, as `fit` takes them. [default: what the model was fitted on]")
@json_option
@quiet_option
@debug_option
def evaluate(model: str, data: str | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Measure a model on labelled images, leaving out those that it was trained on."""
    classifier = load(model)
    report = classifier.evaluate(data, Progress(quiet))
    source = data or shown(classifier.metrics["data"]["source"])
    click.echo(json.dumps(report, indent=2) if as_json else tables.evaluation(report, classifier.metrics, source))


@cli.command(epilog=example("predict saved_models/photos a.jpg 'more/*.png' folder/"))
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
@quiet_option
@debug_option
def predict(model: str, images: tuple[str, ...], as_json: bool, as_csv: bool, quiet: bool, debug: bool) -> None:
    """Say what files, globs and folders of images show."""
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.")
    from keras_transfer.data.sources import expand

    files = expand(images)
    classifier = load(model)
    predictions = classifier.predict(files, Progress(quiet))
    if as_json:
        records = [prediction.record() for prediction in predictions]
        click.echo(json.dumps({"model": str(classifier.folder), "predictions": records}, indent=2))
    elif as_csv:
        from keras_transfer.versions.predictions import write_predictions

        write_predictions(predictions, classifier.classes, sys.stdout)
    else:
        click.echo(tables.predictions([prediction.record() for prediction in predictions], classifier.metrics))
    if any(prediction.error for prediction in predictions):
        sys.exit(1)


@cli.command(epilog=example("bases --json"))
@json_option
@debug_option
def bases(as_json: bool, debug: bool) -> None:
    """List the bases that can be transferred, by use, with accuracy, download, cost and blocks."""
    from keras_transfer.network import imagenet
    from keras_transfer.network.bases import bases as table

    if as_json:
        records = [
            {
                **dataclasses.asdict(base),
                "use": base.use,
                "download_mb": base.download_mb,
                "weights_url": imagenet.address(base.name, base.size),
                "weights_file": str(file := imagenet.file(base.name, base.size)),
                "weights_stored": file.exists(),
            }
            for base in table()
        ]
        click.echo(json.dumps(records, indent=2))
    else:
        click.echo(tables.bases(table(), shutil.get_terminal_size().columns))
