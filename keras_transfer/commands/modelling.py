"""Commands that make and use a model: fit, evaluate, predict, and the listing of bases."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import Any

import click

from keras_transfer.commands import layout, listings, tables
from keras_transfer.commands.group import Option, cli
from keras_transfer.commands.shared import (
    data_argument,
    debug_option,
    exit_with_errors,
    json_option,
    load,
    one_source,
    quiet_option,
    recipe_of,
    recipe_options,
)
from keras_transfer.evaluation.cautions import cautions
from keras_transfer.support import strict_json
from keras_transfer.support.errors import UsageError
from keras_transfer.support.paths import page_and_table, portable
from keras_transfer.support.progress import Progress
from keras_transfer.support.stopping import Stopped
from keras_transfer.versions import folders

_FIT_EXAMPLES = {
    "Data": "fit table.csv --columns label=breed --split 80/10/10",
    "Network": "fit photos/ --base resnet50 --size 192",
    "Head": "fit photos/ --dense 256 --dropout 0.3",
    "Fine-tuning": "fit photos/ --thaw 2 --fine-tune-epochs 5",
    "Speed and storage": "fit photos/ --precision float32 --cache-limit 5",
    "Output": "fit photos/ --output saved_models/photos --keep 3",
}


@cli.command(example="fit photos/ --base mobilenet --output models/photos", section_examples=_FIT_EXAMPLES)
@data_argument
@click.option(
    "--recipe",
    "source",
    metavar="FILE|VERSION",
    cls=Option,
    section="Data",
    help="Take all options from a recipe.json, or a version's own; those given here win.",
)
@recipe_options
@click.option(
    "--resume",
    is_flag=True,
    cls=Option,
    section="Speed and storage",
    help="Go on where an interrupted run left off, and keep the state of training after each epoch.",
)
@json_option
@quiet_option
@debug_option
def fit(
    photos: str | None, source: str | None, resume: bool, as_json: bool, quiet: bool, debug: bool, **options: Any
) -> None:
    """Transfer a base onto labelled images (DATA, or --data) and write a version that serves."""
    start = folders.load_recipe(source) if source else None
    recipe = recipe_of({**options, "data": one_source(photos, options["data"])}, start)
    from keras_transfer.run import fit as run

    try:
        result = run(recipe, Progress(quiet), resume)
    except Stopped as stop:
        click.echo(str(stop), err=True)
        sys.exit(stop.exit_code)
    folder, training = str(result.folder), folders.training_counts(result.folder)
    if as_json:
        warnings = cautions(result.metrics["test"], training)
        click.echo(strict_json.text({"folder": folder, **result.metrics, "warnings": warnings}))
    else:
        click.echo(tables.run(result.metrics, result.recipe, folder, training, layout.width()))


@cli.command(example="evaluate saved_models/photos more-photos/")
@click.argument("model")
@data_argument
@click.option(
    "--data",
    cls=Option,
    section="Data",
    help="Labelled images, as `fit` takes them. [default: what the model was fitted on]",
)
@partial(recipe_options, names=("columns", "encoding", "allow_outside", "tfds_dir"))
@click.option("--html", metavar="FILE", help="Write a page of classes, confusions and mistakes, with thumbnails.")
@click.option("--csv", metavar="FILE", help="Write path, label, prediction and confidence of each image.")
@json_option
@quiet_option
@debug_option
def evaluate(
    model: str,
    photos: str | None,
    data: str | None,
    html: str | None,
    csv: str | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Measure a model on labelled images (DATA, or --data), leaving out those that it was trained on."""
    data = one_source(photos, data)
    from keras_transfer.data import sources
    from keras_transfer.studies import evaluation

    page, table = page_and_table(html, csv)
    if data is not None:
        sources.demand(data)
    progress = Progress(quiet)
    classifier = load(model, progress)
    report = evaluation.evaluate(classifier, data, page, table, progress, **options)
    source = portable(classifier.metrics["data"]["source"]) if data is None else data
    training = folders.training_counts(classifier.folder)
    if as_json:
        about = {"model": str(classifier.folder), "source": source}
        click.echo(strict_json.text({**about, **report, "warnings": cautions(report, training)}))
    else:
        click.echo(tables.evaluation(report, classifier.metrics, source, training, layout.width()))
        for file in filter(None, (html, csv)):
            click.echo(layout.with_path("Wrote ", file, layout.width(), "."))


@cli.command(example="predict saved_models/photos a.jpg 'more/*.png' folder/")
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
    progress = Progress(quiet)
    classifier = load(model, progress)
    predictions = classifier.predict(files, progress)
    records = [prediction.record() for prediction in predictions]
    if as_json:
        click.echo(strict_json.text({"model": str(classifier.folder), "predictions": records}))
    elif as_csv:
        from keras_transfer.versions.predictions import write_predictions

        write_predictions(predictions, classifier.classes, sys.stdout)
    else:
        click.echo(tables.predictions(records, classifier.metrics, layout.width()))
    exit_with_errors(records)


@cli.command(example="bases --json")
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
        click.echo(strict_json.text(records))
    else:
        click.echo(listings.bases(table(), layout.width()))
