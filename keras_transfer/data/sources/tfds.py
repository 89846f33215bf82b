"""Labelled images from data sets of tensorflow-datasets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_transfer.data.contents import ArrayRecords, Contents, Records
from keras_transfer.data.examples import SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.data.sources import tfrecord
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support import logs
from keras_transfer.support.errors import UsageError, UserError, nearest
from keras_transfer.support.progress import Progress
from keras_transfer.support.terminal import listed


def load(source: str, folder: str, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List a data set of tensorflow-datasets, `tfds:NAME[:CONFIG]`, downloading and preparing it where need be.

    Args:
        source: Its image and label are found by the types of its features.
        folder: With data already prepared; empty for the default of tensorflow-datasets.
        purpose: To train, there must be a split `train`; otherwise, any, and if none has a known name, all count.

    Raises:
        UsageError: there is no such data set.
        UserError: it cannot be downloaded, or has no image or no class label.
    """
    tfds = _tensorflow_datasets()
    # A release stays behind a colon, as tensorflow-datasets itself has it.
    name = re.sub(r":(?![\d.]+$)", "/", source.removeprefix("tfds:"))
    try:
        builder = tfds.builder(name, data_dir=folder or None)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        hint = nearest(name.split("/")[0], tfds.list_builders())
        raise UsageError(f"--data: tensorflow-datasets has no {name!r}.{hint}") from error
    if not builder.info.splits:
        try:
            builder.download_and_prepare()
        except Exception as error:  # A hundred hosts and formats fail in as many ways.
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"{source} is not in {builder.data_dir} and could not be prepared ({reason}). "
                "Is there a network? --tfds-dir names a folder with data already prepared."
            ) from error
    image, label = _features(builder.info.features, source, tfds)
    contents: Contents = Records(image)
    table = tfrecord.Table()
    named = [split for split in builder.info.splits if split in SPLIT_NAMES]
    if "train" not in named and purpose is Purpose.TRAIN:
        raise UserError(f"{source} has no split 'train', only {listed(list(builder.info.splits))}.")
    for split in named or builder.info.splits:
        for shard in builder.info.splits[split].filepaths:
            records, contents = _records(Path(shard), image)
            for place, record in records:
                name = f"{shard}@{place}"
                cell = tfrecord.cell_of(tfrecord.parse(record, name)[label], f"{name}: {label}")
                table.add(name, cell, SPLITS.index(SPLIT_NAMES[split]) if named else UNASSIGNED)
    class_names = builder.info.features[label].names
    examples = table.examples(source, Path(builder.data_dir), contents, class_names, purpose)
    unused = [split for split in builder.info.splits if named and split not in named]
    return examples.explained(f"{examples.understood} Not used: the split {listed(unused)}.") if unused else examples


def _tensorflow_datasets() -> Any:
    """Return the package, which imports as an empty module, and logs a traceback, where it fails.

    Raises:
        UserError: it fails, as on Colab.
    """
    logging.disable(logging.ERROR)
    try:
        import tensorflow_datasets
    finally:
        logging.disable(logging.NOTSET)
    if not hasattr(tensorflow_datasets, "builder"):
        raise UserError(
            "tensorflow-datasets does not work: its tensorflow-metadata needs a newer protobuf than is installed. "
            "pip install 'tensorflow-metadata<1.18', and start Python anew."
        )
    logs.import_tensorflow()
    if not Progress().visible:
        tensorflow_datasets.disable_progress_bar()
    return tensorflow_datasets


def _records(shard: Path, key: str) -> tuple[Iterator[tuple[int, bytes]], Contents]:
    if ".array_record" not in shard.name:
        return tfrecord.framed(shard), Records(key)
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(shard))
    return ((number, reader.read([number])[0]) for number in range(reader.num_records())), ArrayRecords(key)


def _features(features: Any, source: str, tfds: Any) -> tuple[str, str]:
    """Return the names of the image and the class label of a data set."""
    flat = features if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [name for name, feature in flat.items() if isinstance(feature, tfds.features.Image)]
    labels = [name for name, feature in flat.items() if isinstance(feature, tfds.features.ClassLabel)]
    has = f"It has {', '.join(f'{name} ({type(flat[name]).__name__})' for name in flat) or 'none by name'}."
    if not images:
        raise UserError(f"{source} has no feature of type Image. {has}")
    if not labels:
        raise UserError(f"{source} has no feature of type ClassLabel. {has}")
    return ("image" if "image" in images else images[0]), ("label" if "label" in labels else labels[0])
