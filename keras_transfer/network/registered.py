"""Bases that the table does not have, by a function that builds them. Nothing here imports Keras."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_transfer.network.bases import REGISTERED, TABLE, RegisteredBase, plain
from keras_transfer.network.blocks import Block
from keras_transfer.support.errors import UsageError, nearest

PREPROCESSING = ("none", "tf", "torch", "caffe")
_PARTS = ("images", "prepare", "pool", "head")  # Of a network, by names that Keras wants to be unique.


def register_base(
    name: str,
    build: Callable[[int], Any],
    *,
    size: int,
    preprocessing: str = "none",
    blocks: Mapping[str, str] | None = None,
    top: str | None = None,
) -> None:
    """Let `fit`, `features`, `check` and `recommend` of this process take a base that the table does not have.

        def build(size):
            inputs = keras.Input((size, size, 3))
            ...
            return keras.Model(inputs, feature_map)

        kt.register_base("mine", build, size=224, blocks={"stem": "", "body": "stem_pool"})
        kt.fit("photos/", base="mine")

    The base has the weights that `build` gives it, unless `weights` names a file, an earlier run, or `"random"`, for
    which each layer draws its own anew. It is copied: the model that `build` returns is never changed. Layers of
    classes of one's own must be decorated with `keras.saving.register_keras_serializable`; this is checked before
    images are read. A version predicts and serves wherever it is copied; `export`, and its weights for another run,
    need those classes imported.

    Args:
        name: What `base` is to take, of letters, digits, `-` and `_`; a name that was registered before gets the new
            meaning, so that a notebook's cell can be run again.
        build: Input side, px, to a functional or Sequential `keras.Model` from images `[N, size, size, 3]` to a
            feature map `[N, h, w, C]`. It may hold other models, which are opened.
        size: Input side, px, unless `fit` is given one.
        preprocessing: How pixels 0..255 become the base's input: `none` (it takes them, or scales them itself), `tf`
            (-1..1), `torch` (ImageNet mean and deviation) or `caffe` (BGR minus the ImageNet mean).
        blocks: What `thaw` can name, from the image upwards, each with the layer whose output is the last that stays
            frozen; after a `<`, the layer whose input is; empty where nothing stays frozen. None for a block from
            each layer that one can be cut below.
        top: Name of the block that begins the last stage, from which the base is fine-tuned where more would take
            long; None for the last block, and of blocks that were not named, for the last quarter.

    Raises:
        UsageError: an argument is wrong, or the table has a base of this name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w-]*", name, re.ASCII):
        raise UsageError(f"register_base: a name has letters, digits, - and _ only. Received: {name!r}.")
    if name in _PARTS:
        raise UsageError(f"register_base: {name!r} is the name of another part of the network: choose another name.")
    if plain(name) in TABLE:
        raise UsageError(
            f"register_base: the table has a base {TABLE[plain(name)].name!r} already: choose another name."
        )
    if not callable(build) or hasattr(build, "layers"):  # A model can be called too, with images.
        raise UsageError(
            "register_base: build must be a function of the input side, as `lambda size: model`. Received: "
            f"{build!r:.100}."
        )
    if isinstance(size, bool) or not isinstance(size, int) or size < 16:
        raise UsageError(f"register_base: size must be the input side in pixels, 16 at least. Received: {size!r}.")
    if preprocessing not in PREPROCESSING:
        raise UsageError(
            f"register_base: preprocessing must be one of {', '.join(PREPROCESSING)}; whatever else is needed, let "
            f"the model begin with. Received: {preprocessing!r}."
        )
    declared = () if blocks is None else _declared(blocks)
    names = [block.name for block in declared]
    if top is not None and not names:
        raise UsageError(f"register_base: top is the name of one of the blocks: give blocks too. Received: {top!r}.")
    if top is not None and top not in names:
        raise UsageError(
            f"register_base: top is none of the blocks ({', '.join(names)}). Received: {top!r}.{nearest(top, names)}"
        )
    REGISTERED[plain(name)] = RegisteredBase(
        name=name,
        constructor="",
        size=size,
        least_size=1,
        preprocessing=preprocessing,
        parameters=0,
        gflops=0.0,
        features=0,
        blocks=declared,
        top=top or (names[-1] if names else ""),
        build=build,
    )


def _declared(blocks: Mapping[str, str]) -> tuple[Block, ...]:
    """Return the blocks that were named, or raise `UsageError`."""
    pairs = blocks.items() if isinstance(blocks, Mapping) else [(blocks, None)]
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise UsageError(
            "register_base: blocks must give, by each block's name, the layer that stays frozen below it, as "
            f"{{'stem': '', 'body': 'stem_pool'}}. Received: {blocks!r:.100}."
        )
    for block, _ in pairs:
        if block in ("", "all", "none", "auto", "head") or block.isdigit():
            raise UsageError(f"register_base: {block!r} means something else to `thaw`: give the block another name.")
    return tuple(Block(block, boundary) for block, boundary in pairs)
