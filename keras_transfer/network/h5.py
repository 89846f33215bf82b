"""HDF5 files of weights: what they hold, layer by layer, and what is never read from them.

A file is not trusted: it may name other files of the machine as its contents (external links and storage, virtual
datasets), or declare terabytes in a few bytes. `check` refuses both before a value is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py

from keras_transfer.support.errors import UserError

# A layer's name, and its arrays: NumPy's, or datasets of a file that is open.
LayerWeights = tuple[str, Sequence[Any]]

_MAX_DEPTH = 200  # Levels of JSON; a model within a model takes six.
MAX_CONFIG_BYTES = 16_000_000  # The largest of keras.applications has 2 MB.
_MAX_BYTES = 1 << 30  # That a file may declare beyond four times what it stores: compression of weights gains little.


def check(file: Path, shown: str = "") -> int:
    """Refuse a file whose contents lie elsewhere or are declared much larger than they are stored.

    Args:
        file: HDF5.
        shown: What messages call it.

    Returns:
        Values in all of its datasets.

    Raises:
        UserError: naming the file and the first such link or dataset.
        OSError: it is no HDF5 file.
    """
    shown = shown or str(file)
    declared = stored = values = 0
    with h5py.File(file, "r") as stream:
        links: list[tuple[str, Any]] = []
        stream.visititems_links(lambda name, link: links.append((name, link)))
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                target = f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else link.path
                raise UserError(f"{shown} is refused: {_cut(name)!r} in it is a link to {_cut(target)!r}.")
            dataset = stream[name]
            if not isinstance(dataset, h5py.Dataset):
                continue
            elsewhere = dataset.external or (dataset.virtual_sources() if dataset.is_virtual else [])
            if elsewhere:
                source = getattr(elsewhere[0], "file_name", None) or elsewhere[0][0]
                raise UserError(
                    f"{shown} is refused: the values of {_cut(name)!r} would be read from another file, "
                    f"{_cut(str(source))!r}."
                )
            size = math.prod(dataset.shape or ())
            values += size
            declared += size * dataset.dtype.itemsize
            stored += dataset.id.get_storage_size()
            if declared > _MAX_BYTES + 4 * stored:
                raise UserError(
                    f"{shown} is refused: it stores {stored / 1e6:,.1f} MB, and declares {declared / 1e9:,.1f} GB "
                    f"up to {_cut(name)!r}."
                )
    return values


def config(stream: h5py.File) -> dict[str, Any] | None:
    """Return the configuration of the model whose weights a whole-model file holds; None for weights alone."""
    text = stream.attrs.get("model_config")
    return None if text is None else parsed(text)


def parsed(text: str | bytes) -> dict[str, Any]:
    """Return a model's configuration.

    Raises:
        ValueError: it is no JSON object, too large, or nested too deeply.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise ValueError(f"its configuration has {len(text) / 1e6:.0f} MB")
    try:
        content = json.loads(text)
        deep = _is_deeper(content, _MAX_DEPTH)
    except RecursionError:  # Up to Python 3.12; later ones read what Keras then cannot.
        deep = True
    if deep:
        raise ValueError("its configuration is nested too deeply")
    if not isinstance(content, dict):
        raise ValueError("its configuration is no JSON object")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    """Say whether JSON is nested in more levels, without recursion."""
    nested = [content] if isinstance(content, dict | list) else []
    for _ in range(levels):
        children = (child for value in nested for child in (value.values() if isinstance(value, dict) else value))
        nested = [child for child in children if isinstance(child, dict | list)]
    return bool(nested)


def layers(stream: h5py.File) -> list[LayerWeights]:
    """Return the layers with weights of a whole-model or weights-only file of Keras 1 to 3, in the model's order.

    A model that stands in another as one layer is stored as one list of weights, those that were trained first. It is
    split into its layers, by the names of the weights; their order is that of the configuration, or, without one, in
    which they come.
    """
    whole = "layer_names" not in stream.attrs and "model_weights" in stream
    group = stream["model_weights"] if whole else stream
    order = {name: number for number, name in enumerate(_layer_names(config(stream) or {}))}
    weights: list[LayerWeights] = []
    for raw in _names(group, "layer_names"):
        owners: dict[str, list[h5py.Dataset]] = {}
        for weight in _names(group[raw], "weight_names"):
            owners.setdefault(weight.rpartition("/")[0] or raw, []).append(group[raw][weight])
        parts = [(owner.rpartition("/")[2], arrays) for owner, arrays in owners.items()]
        if all(name in order for name, _ in parts):
            parts.sort(key=lambda part: order[part[0]])
        weights += parts
    return weights


def _layer_names(model: dict[str, Any]) -> Iterator[str]:
    """The layers of a configuration, those of models within it in place of these."""
    inner = model.get("config")
    parts = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    for layer in parts or ():
        if isinstance(layer, dict):
            yield from _layer_names(layer)
    if parts is None and isinstance(inner, dict):
        yield str(inner.get("name", model.get("name")))


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """An attribute too large for HDF5 (64 kB) is stored in numbered parts."""
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        parts = sorted(
            (key for key in group.attrs if key.startswith(attribute)), key=lambda key: int(key[len(attribute) :])
        )
        chunks = [group.attrs[key] for key in parts]
        if not chunks:
            raise KeyError(f"it has no attribute {attribute!r}")
    return [name.decode() if isinstance(name, bytes) else str(name) for chunk in chunks for name in chunk]


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}...{text[-37:]}"
