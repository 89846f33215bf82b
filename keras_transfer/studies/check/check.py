"""What is wrong with a data set: `check` lists it, inspects every image, and reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from keras_transfer.data import sources
from keras_transfer.data.inspection import inspector
from keras_transfer.data.inspection.findings import Finding
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check import convert, page, suggestions
from keras_transfer.studies.check.findings import Findings, checkable, collect
from keras_transfer.studies.check.groups import grouped
from keras_transfer.studies.page import THUMBNAIL
from keras_transfer.support import forks, logs
from keras_transfer.support.errors import UserError
from keras_transfer.support.paths import demand_other_file, demand_outside, page_and_table, text_of
from keras_transfer.support.progress import Progress


def check(
    recipe: Recipe,
    labels: bool = False,
    html: str | Path | None = None,
    progress: Progress | None = None,
    convert_to: str | Path | None = None,
    csv: str | Path | None = None,
) -> Findings:
    """Look a data set over before training on it.

    Args:
        recipe: Gives data, task and limits; with `labels`, also the base, its weights and size.
        labels: Look for suspicious labels too, with the features of the recipe's base.
        html: Where to write a page with thumbnails; it appears whole or not at all.
        progress: What to tell meanwhile; by default, a terminal.
        convert_to: A new folder for copies of the images in formats that TensorFlow does not decode.
        csv: Where to write a table of the images with findings, and what to do about each; whole or not at all.

    Raises:
        UsageError: there is something in the folder for copies, or the page or the table cannot be written there.
        UserError: there is nothing to check, or something cannot be written.
    """
    page_file, table_file = page_and_table(html, csv)
    if table_file is not None:
        demand_other_file(table_file, recipe.data, "--csv")
    copies_folder = None if convert_to is None else Path(text_of(convert_to, "--convert")).expanduser()
    if copies_folder is not None:
        demand_outside(copies_folder, recipe.data, "--convert")
        convert.demand_new(copies_folder)
    progress = progress or Progress()
    examples = sources.load(recipe.data, recipe, Purpose.INSPECT)
    if not len(examples):
        raise UserError(f"{recipe.data} lists no images.")
    forks.check()
    with progress.activity("Importing TensorFlow"):
        logs.import_tensorflow()
    from keras_transfer.data.decoding.decode import Decoder

    labels = labels and checkable(examples)
    if labels:
        from keras_transfer.studies import features

        recipe_and_base = features.load_base(recipe, examples, progress)
    examples, inspections = inspector.inspect(examples, recipe.max_pixels, progress, closely=True)
    usable = any(inspection.fault is None for inspection in inspections)
    if not usable and copies_folder is None:
        raise UserError(f"{recipe.data}: no image can be used. {examples.paths[0]} {inspections[0].fault}.")
    suspects: list[Finding] | None = None
    few: list[str] = []
    if labels and usable:
        from keras_transfer.studies.check.labels import suspects as suspects_of

        suspects, few = suspects_of(examples, inspections, *recipe_and_base, progress)
    findings = collect(recipe, examples, inspections, suspects, few)
    groups = grouped(findings.warnings)
    if table_file is not None:
        suggestions.write(groups, examples, table_file)
    if page_file is not None:
        decoder = Decoder(THUMBNAIL, "pad", recipe.max_pixels)
        with progress.activity("Writing the page"):
            page.write(findings, groups, examples, decoder, page_file, recipe.seed)
    if copies_folder is None:
        return findings
    try:
        copies = convert.convert(examples, findings.rejected, copies_folder, recipe, progress)
    except OSError as error:
        raise UserError(f"--convert: {convert_to} cannot be written ({error.strerror}).") from error
    return replace(findings, converted=copies)
