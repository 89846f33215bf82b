"""The version of a model that is served: the newest that can be loaded, replaced when a newer one appears."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_transfer.serving.batching import Batcher, Outputs
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.versions import folders
from keras_transfer.versions.saved import SavedClassifier

_POLL_SECONDS = 1.0
_STOP_SECONDS = 2.0  # That a version which is being loaded may hold up the end.

State = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class LoadedVersion:
    """A version that is served.

    Attributes:
        number: Of the version.
        classifier: Its graph.
        batcher: In front of it.
        signatures: What its graph takes and gives, as TensorFlow Serving's metadata call has it.
    """

    number: int
    classifier: SavedClassifier
    batcher: Batcher
    signatures: dict[str, Any]


class NewestVersion:
    """The newest version of a model; requests in flight end on the one that it replaces.

    Args:
        model: Folder with the versions.
        batcher: Makes a batcher of a function from signature and inputs to outputs.

    Attributes:
        current: The version that is served.

    Raises:
        UserError: there is no version, or the newest cannot be loaded.
    """

    def __init__(self, model: Path, batcher: Callable[[Callable[[str, list[Any]], Outputs]], Batcher]) -> None:
        self.model, self._batcher = model, batcher
        self._stopped = threading.Event()
        self.current = self._load(folders.newest(model))
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="versions")
        self._watcher.start()

    def _load(self, folder: Path) -> LoadedVersion:
        classifier = SavedClassifier(folder)
        batcher = self._batcher(classifier.run)
        try:
            # What TensorFlow prepares for each size, and the memory that it takes, are there before requests are.
            for count in batcher.sizes:
                batcher.submit("serving_default", [b""] * count).result()
            return LoadedVersion(int(folder.name), classifier, batcher, _signatures(folder))
        except BaseException:
            batcher.close()
            raise

    def _watch(self) -> None:
        refused: tuple[Path, State] | None = None
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                folder = folders.newest(self.model)
            except (UserError, OSError):
                continue  # All are gone; the one in memory goes on serving.
            if int(folder.name) == self.current.number or refused == (folder, state := _state(folder)):
                continue
            try:
                self._replace(folder)
            # Whatever a folder that is not whole makes TensorFlow raise; it is tried again when its files change.
            except Exception as error:
                refused = folder, state
                why = str(error) if isinstance(error, UserError) else f"{folder} cannot be served ({error})."
                Progress().warn(f"{why} Version {self.current.number} goes on serving.")
            gc.collect()  # A loaded graph is full of circles; without this each version leaves its memory behind.

    def _replace(self, folder: Path) -> None:
        previous, self.current = self.current, self._load(folder)
        previous.batcher.close()

    def close(self) -> None:
        """Run what waits, and stop."""
        self._stopped.set()
        self._watcher.join(_STOP_SECONDS)
        self.current.batcher.close()


def _state(folder: Path) -> State:
    """Return what changes when files of a version are written."""
    try:
        files = [(str(path), path.stat()) for path in folder.rglob("*") if path.is_file()]
    except OSError:
        return frozenset()
    return frozenset((path, stat.st_size, stat.st_mtime_ns) for path, stat in files)


def _signatures(folder: Path) -> dict[str, Any]:
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    shown = {
        name: json_format.MessageToDict(signature, preserving_proto_field_name=True)
        for name, signature in signatures.items()
        if not name.startswith("__")
    }
    return {"signature_def": shown}
