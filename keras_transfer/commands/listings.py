"""Aligned tables of what there is: models, bases, stored activations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_transfer.commands.layout import NARROW, aligned, wrapped
from keras_transfer.evaluation.headline import short
from keras_transfer.network import imagenet
from keras_transfer.network.bases import Base
from keras_transfer.support.paths import portable
from keras_transfer.support.program import program

if TYPE_CHECKING:
    from keras_transfer.support.leftovers import Leftover
    from keras_transfer.versions.folders import Version


def models(versions: Sequence[Version], sources: Sequence[str], width: int = NARROW) -> str:
    """What `models` says; `sources` are the names of what the versions were fitted on."""
    if not versions:
        return f"There are no models there: {program()} fit photos/ makes one."
    rows = [("model", "test", "data", "base", "written", "MB", "weights")]
    for version, source in zip(versions, sources, strict=True):
        name, score = version.score
        rows.append(
            (
                f"{version.model}/{version.version}",
                (f"{score:.3f}" if name == "accuracy" else f"{short(name)} {score:.3f}") if name else "-",
                source,
                version.base,
                time.strftime("%Y-%m-%d", time.localtime(version.modified)),
                f"{version.bytes / 1e6:.1f}",
                portable(version.weights),
            )
        )
    return "\n".join(aligned(rows, width, flexible=(2, 3, 6), expendable=5, name=0))


def bases(table: Sequence[Base], width: int = NARROW) -> str:
    """What `bases` says, by use."""
    cells = [
        (
            "base",
            "",
            "top-1",
            "MB",
            "px",
            "GFLOPs",
            "stored",
            "M params",
            "features",
            "thaws",
            "blocks, from the top down",
        )
    ]
    for base in table:
        names = [block.name for block in reversed(base.blocks)]
        cells.append(
            (
                base.name,
                "start here" if base.start_here else "",
                "-" if base.accuracy is None else f"{base.accuracy:.1%}",
                str(base.download_mb),
                str(base.size),
                f"{base.gflops:.1f}",
                "yes" if imagenet.file(base.name, base.size).exists() else "-",
                f"{base.parameters / 1e6:.1f}",
                str(base.features),
                base.top,
                " ".join(names[:6]) + (" ..." if len(names) > 6 else ""),
            )
        )
    heading, *lines = aligned(cells, width, expendable=6)
    page, use = [heading], ""
    for base, line in zip(table, lines, strict=True):
        page += [] if base.use == use else ["", f"{base.use[0].upper()}{base.use[1:]}:"]
        page.append(line)
        use = base.use
    return "\n".join([*page, "", *(wrapped(line, width) for line in _BASES_NOTES)])


_BASES_NOTES = (
    "top-1: of the ImageNet classifier, by https://keras.io/api/applications/.",
    "MB: what Keras downloads. stored: it is on this machine. GFLOPs: of one image. M params: millions of parameters.",
)


def cache(records: Sequence[dict[str, Any]], leftovers: Sequence[Leftover], width: int = NARROW) -> str:
    """What `cache` says."""
    lines = ["No activations are stored."]
    if records:
        rows: list[tuple[str, ...]] = [("base", "activations", "px", "view", "images", "MB", "last used")]
        for record in records:
            key = record["key"]
            rows.append(
                (
                    str(key.get("base", "-")),
                    _activations(key.get("boundary")),
                    str(key.get("size", "-")),
                    _view(key.get("view")),
                    str(record["images"]),
                    _megabytes(record["bytes"]),
                    _minute(record["last_used"]),
                )
            )
        total = sum(record["bytes"] for record in records)
        size = f"{total / 1e9:.2f} GB" if total >= 1e9 else f"{_megabytes(total)} MB"
        lines = [*aligned(rows, width, (0, 1)), f"{size} in all."]
    if leftovers:
        rows = [("left by interrupted runs", "MB", "last used")]
        rows += [(str(left.path), _megabytes(left.bytes), _minute(left.modified)) for left in leftovers]
        lines += ["", *aligned(rows, width, (0,)), f"{program()} cache --clear deletes them too."]
    return "\n".join(lines)


def _activations(boundary: str | None) -> str:
    """Say which activations are stored, in words: `boundary` is the block that is fine-tuned on them, or `none`."""
    return "-" if boundary is None else "features" if boundary == "none" else f"input of {boundary}"


def _view(view: int | str | None) -> str:
    return "-" if view is None else "original" if view == "plain" else f"augmented {view}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
