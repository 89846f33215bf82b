"""Commands about data, before training: check, recommend, features, and the stored activations."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from keras_transfer.commands import layout, listings, tables
from keras_transfer.commands.findings import text as findings_text
from keras_transfer.commands.group import Option, cli
from keras_transfer.commands.shared import (
    BASE_OPTIONS,
    data_argument,
    debug_option,
    json_option,
    one_source,
    quiet_option,
    recipe_of,
    recipe_options,
)
from keras_transfer.recipe import choices
from keras_transfer.support import strict_json
from keras_transfer.support.errors import UsageError, UserError, nearest
from keras_transfer.support.progress import Progress

_CHECK_OPTIONS = (
    "weights",
    "task",
    "size",
    "columns",
    "encoding",
    "group_by",
    "max_pixels",
    "allow_outside",
    "tfds_dir",
    "seed",
)


@cli.command(example="check photos/ --html check.html --base resnet50")
@click.argument("data")
@click.option("--html", metavar="FILE", help="Write the report as a page with thumbnails.")
@click.option("--csv", metavar="FILE", help="Write a table of the images with findings, and what to do about each.")
@click.option("--convert", metavar="FOLDER", help="Write PNG or JPEG copies of images in formats that cannot be used.")
@click.option("--fail-on", metavar="KIND,...", help="Exit with 1 if there is a finding of these kinds, as --json has.")
@click.option(
    "--base",
    cls=Option,
    section="Network",
    help="Check labels by the features of this base: a name from `bases`, or a .keras or .h5 model.",
)
@partial(recipe_options, names=_CHECK_OPTIONS)
@json_option
@quiet_option
@debug_option
def check(
    data: str,
    html: str | None,
    csv: str | None,
    convert: str | None,
    fail_on: str | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Say what is wrong with labelled images before training: files, duplicates, leaks and, with --base, labels."""
    kinds = _kinds(fail_on, labels=options["base"] is not None) if fail_on is not None else []
    recipe = recipe_of({**options, "data": data})
    from keras_transfer.studies.check.check import check as run

    findings = run(recipe, options["base"] is not None, html, Progress(quiet), convert, csv)
    click.echo(strict_json.text(findings.record()) if as_json else findings_text(findings, layout.width()))
    for file in filter(None, (html, csv)) if not as_json else ():
        click.echo(layout.with_path("Wrote ", file, layout.width(), "."))
    if "suspicious-label" in kinds and not findings.labels_checked:
        raise UserError(f"{data}: {findings.unchecked} (--fail-on)")
    counts = [f"{findings.kinds[kind]} {kind}" for kind in kinds if findings.kinds[kind]]
    if counts:
        raise UserError(f"{data}: {', '.join(counts)} (--fail-on).")


def _kinds(text: str, labels: bool) -> list[str]:
    """Return the kinds of findings that `--fail-on` names; `labels` says whether labels are checked."""
    from keras_transfer.data.inspection.findings import KINDS

    kinds = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for kind in kinds:
        if kind not in KINDS:
            allowed = ", ".join(map(repr, KINDS))
            raise UsageError(f"--fail-on must be one or more of {allowed}. Received: {kind!r}.{nearest(kind, KINDS)}")
    if "suspicious-label" in kinds and not labels:
        raise UsageError("--fail-on suspicious-label needs --base: without it, labels are not checked.")
    return kinds


_SPLIT_OPTIONS = (*BASE_OPTIONS, "split", "group_by", "group_duplicates")
_RECOMMEND_OPTIONS = tuple(name for name in _SPLIT_OPTIONS if name not in ("base", "weights"))


@cli.command(example="recommend photos/ --bases mobilenetv2,resnet50,efficientnetv2s")
@data_argument
@click.option(
    "--bases",
    metavar="BASE,...",
    cls=Option,
    section="Network",
    help="What to compare: names from `bases`, or .keras or .h5 models. [default: its `start here` ones]",
)
@partial(recipe_options, names=_RECOMMEND_OPTIONS)
@json_option
@quiet_option
@debug_option
def recommend(photos: str | None, bases: str | None, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Say which base to transfer onto labelled images, by heads on the features of each, without training any."""
    names = [] if bases is None else [name.strip() for name in bases.split(",")]
    if not all(names):
        raise UsageError(f"--bases must be names or files, separated by commas. Received: {bases!r}.")
    # The size must suit a base that is compared, not the default one.
    base = names[0] if names else None
    recipe = recipe_of({**options, "data": one_source(photos, options["data"]), "base": base})
    from keras_transfer.studies.recommend import recommend as compare

    recommendation = compare(recipe, names, Progress(quiet))
    if as_json:
        click.echo(strict_json.text(recommendation.record()))
    else:
        click.echo(tables.recommendation(recommendation, choices.typed({**options, "data": None}), layout.width()))


@cli.command(example="features photos/ --base resnet50 -o features.npz")
@data_argument
@partial(recipe_options, names=_SPLIT_OPTIONS)
@click.option("-o", "--output", required=True, metavar="FILE", help="The .npz file to write.")
@json_option
@quiet_option
@debug_option
def features(photos: str | None, output: str, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Write the feature vectors of labelled images, for a classifier of your own."""
    recipe = recipe_of({**options, "data": one_source(photos, options["data"])})
    from keras_transfer.studies.features import write

    count, width = write(recipe, Path(output).expanduser(), Progress(quiet))
    report = {"file": output, "images": count, "features": width}
    if as_json:
        click.echo(strict_json.text(report))
    else:
        size = f": {count} images, {width} features each."
        click.echo(layout.with_path("Wrote ", output, layout.width(), size))


@cli.command(example="cache --clear")
@click.option("--clear", is_flag=True, help="Delete all of it but what running commands use.")
@json_option
@debug_option
def cache(clear: bool, as_json: bool, debug: bool) -> None:
    """Show or clear stored activations, and what interrupted runs left; KERAS_TRANSFER_CACHE moves their folder."""
    from keras_transfer.compute import store
    from keras_transfer.support import leftovers

    freed = store.clear() if clear else 0
    contents, left_behind = store.contents(), [] if clear else leftovers.leftovers()
    if clear:
        used = sum(record["bytes"] for record in contents)
        kept = f" {used / 1e6:.1f} MB are in use and stay." * bool(contents)
        click.echo(strict_json.text({"freed_bytes": freed}) if as_json else f"Freed {freed / 1e6:.1f} MB.{kept}")
    elif as_json:
        records = [
            {"path": str(left.path), "key": {}, "images": 0, "bytes": left.bytes, "last_used": left.modified}
            for left in left_behind
        ]
        click.echo(strict_json.text(contents + records))
    else:
        click.echo(listings.cache(contents, left_behind, layout.width()))
