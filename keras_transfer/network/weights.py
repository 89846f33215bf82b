"""Bases with their weights: ImageNet's, random ones, those of a file, or those that a base brings along."""

from __future__ import annotations

import contextlib
import http.client
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras

from keras_transfer.network import imagenet, own_base
from keras_transfer.network.bases import AS_BUILT, Base, RegisteredBase, spec_of
from keras_transfer.network.cut import cut_points, demand_blocks
from keras_transfer.network.fingerprint import fingerprint
from keras_transfer.network.graph import gflops, names_from_the_start
from keras_transfer.network.model_files import first_line, input_side
from keras_transfer.network.precision import copied
from keras_transfer.network.weights_files import copy_weights
from keras_transfer.recipe.options import WEIGHTS
from keras_transfer.support import stopping
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.progress import Progress

_LAST_STAGE = 1 / 4  # Share of the blocks of a base, where nobody named them: about that of the table's bases.


@dataclass(frozen=True)
class PretrainedBase:
    """A base ready to transfer from.

    Attributes:
        spec: What the table of bases says of it; of a base of the user's own, what is known from its network.
        base: The network, ending in a feature map.
        weights: `imagenet`, `random`, `as built`, or the file they came from.
        key: What tells its network, and how it scales pixels, from others, whatever their weights.
        caution: What may be wrong with how it is used, a line for the user; mostly empty.
    """

    spec: Base
    base: keras.Model
    weights: str
    key: str
    caution: str = ""


class ImageNetUnavailable(UserError):
    """ImageNet's weights are neither stored nor to be downloaded.

    Attributes:
        missing: What is missing, why, and where it belongs: all but the options that do without it, and the full stop.
    """

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing}, or give --weights FILE, or --weights random.")
        self.missing = missing


def load(base: str, weights: str, size: int, seed: int, progress: Progress | None = None) -> PretrainedBase:
    """Build a base at an input size and give it its weights.

    Args:
        base: Name in the table or of a registered base, or path to a `.keras` or `.h5` model, which brings its own
            weights.
        weights: `imagenet`, which of a base that was registered or read from a file means those that it brings;
            `random`; or a path.
        size: Input side, px.
        seed: Of random weights, and of what is random in training.
        progress: Is told of a download; by default, nobody.

    Raises:
        ImageNetUnavailable: naming the file, where Keras looks for it, and the other choices.
        UserError: the weights do not fit, naming the first layer that does not.
    """
    spec = spec_of(base)
    keras.utils.set_random_seed(seed)
    if spec is None:
        if weights not in WEIGHTS:
            raise UsageError(f"--weights: {base} brings its own. Received: {weights!r}.")
        return _from_file(Path(base).expanduser(), size, weights)
    if isinstance(spec, RegisteredBase):
        return _registered(spec, size, weights)
    spec.demand_size(size)
    if weights == "imagenet":
        return PretrainedBase(spec, _imagenet(spec, size, progress or Progress(quiet=True)), weights, spec.name)
    network = _construct(spec, size, None)
    if weights != "random":
        copy_weights(Path(weights).expanduser(), network, spec.name)
    return PretrainedBase(spec, network, weights, spec.name)


def _construct(spec: Base, size: int, weights: str | None) -> keras.Model:
    constructor = getattr(keras.applications, spec.constructor)
    return constructor(include_top=False, weights=weights, input_shape=(size, size, 3))


def _imagenet(spec: Base, size: int, progress: Progress) -> keras.Model:
    file = imagenet.file(spec.name, size)
    stored = file.exists()
    try:
        # What Keras says of a file that it downloads anew belongs among the messages, not the results.
        reading = stopping.deferred() if stored else contextlib.nullcontext()
        with reading, contextlib.redirect_stdout(sys.stderr), _download_shown(spec, size, progress):
            return _construct(spec, size, "imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        reason = _download_failure(error)
        if reason is None:
            raise
        fault = f"stored in {file.name} have a wrong checksum" if stored else "are not on this machine"
        raise ImageNetUnavailable(
            f"ImageNet weights of {spec.name} {fault}, and cannot be downloaded ({reason}). Put "
            f"{imagenet.address(spec.name, size)} as {file.name} into {file.parent}, where Keras looks for it"
        ) from error


@contextlib.contextmanager
def _download_shown(spec: Base, size: int, progress: Progress) -> Iterator[None]:
    """Show the download of weights that are not stored yet as a step of the run, in place of Keras's own bar."""
    if imagenet.file(spec.name, size).exists() or not keras.config.is_interactive_logging_enabled():
        yield
        return
    keras.config.disable_interactive_logging()
    try:
        with progress.activity(f"Downloading ImageNet weights of {spec.name} ({spec.download_mb} MB)"):
            yield
    finally:
        keras.config.enable_interactive_logging()


def _download_failure(error: Exception) -> str | None:
    """Return why a download failed, in words; None if something else did."""
    fetch = re.search(r"URL fetch failure on \S+: (\S+) -- (.*)", str(error))
    if fetch is not None:
        code, message = fetch[1], fetch[2].strip()[:100]
        return (
            f"the server answers {code} {message}" if code.isdigit() and int(code) >= 100 else f"no network: {message}"
        )
    if "file hash does not match" in str(error):
        return "the checksum of what came is wrong: it is incomplete, or was changed on the way"
    if isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException)):
        return f"the download broke off: {first_line(error)[:100]}"
    if isinstance(error, PermissionError):
        return f"{error.filename} cannot be written"
    return None


def _from_file(file: Path, size: int, weights: str) -> PretrainedBase:
    with names_from_the_start():
        network = own_base.from_file(file, size)
        if weights == "random":
            network = _drawn_anew(network)
    return _described(
        Base(file.stem, "", size, 1, "none", 0, 0.0, 0, (), ""),
        network,
        weights if weights == "random" else str(file),
        f"{file.name} is given pixels 0..255, for it scales none. If it was trained on others (-1..1, 0..1), "
        "save it with a Rescaling layer first, or name its network by --base, and this file by --weights.",
    )


def _registered(spec: RegisteredBase, size: int, weights: str) -> PretrainedBase:
    file = None if weights in WEIGHTS else Path(weights).expanduser()
    with names_from_the_start():
        built = own_base.built(spec.name, spec.build, size)
        if file is not None and file.name.endswith(".weights.h5"):
            # It has weights by the layers of the model that was saved, models within it and all.
            kept = built.get_weights()
            try:
                copy_weights(file, built, spec.name)
                network = own_base.flat_base(built, size, spec.name)
            finally:
                built.set_weights(kept)  # It may be a model that the user goes on with.
        else:
            network = own_base.flat_base(built, size, spec.name)
            if file is not None:
                copy_weights(file, network, spec.name)
        if weights == "random":
            network = _drawn_anew(network)
    demand_blocks(network, spec.name, spec.blocks)
    return _described(
        spec,
        network,
        AS_BUILT if weights == "imagenet" else weights,
        f"{spec.name} is given pixels 0..255, for it scales none. If it was trained on others, register it with "
        "preprocessing='tf' (-1..1) or 'torch', or let it begin with a Rescaling layer.",
    )


def _described(spec: Base, network: keras.Model, weights: str, caution: str) -> PretrainedBase:
    """Return a base of the user's own, described by what is known of it and by what its network tells.

    Args:
        spec: Without blocks where they are to be looked for.
        network: As `own_base.flat_base` returns it.
        weights: As in `PretrainedBase`.
        caution: For a base whose pixels nobody scales, unless its weights are random.
    """
    blocks = spec.blocks or cut_points(network)
    spec = replace(
        spec,
        size=network.input_shape[1],
        parameters=network.count_params(),
        gflops=gflops(network),
        features=network.output_shape[3],
        blocks=blocks,
        top=spec.top or blocks[-max(1, round(_LAST_STAGE * len(blocks)))].name,
    )
    unscaled = weights != "random" and spec.preprocessing == "none" and own_base.takes_pixels_unscaled(network)
    # How pixels are scaled is the user's to change: the network is the same, what it makes of them another.
    key = f"{fingerprint(network)}, {spec.preprocessing}"
    return PretrainedBase(spec, network, weights, key, caution if unscaled else "")


def _drawn_anew(network: keras.Model) -> keras.Model:
    """Return a copy of a model with new random weights; how it normalises pixels stays."""
    twin = keras.models.clone_model(network, clone_function=partial(copied, dtype="float32"))
    for layer, drawn in zip(network.layers, twin.layers, strict=True):
        if isinstance(layer, keras.layers.Normalization):
            drawn.set_weights(layer.get_weights())
    return twin


def native_size(base: str) -> int:
    """Return the input side of a base, px: as it was listed, or that of a model's file (224 if it takes any)."""
    spec = spec_of(base)
    return spec.size if spec is not None else input_side(Path(base).expanduser()) or 224
