"""The state of training on disk: an interrupted run goes on from it, and ends as if it had not been interrupted.

Training is a row of parts: the phases, then those of the refit. A part that has ended leaves one file, a part that has
begun its two newest states, as training goes on, or only when it is stopped. Each file is a NumPy archive (`.npz`),
which has a checksum of each array in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.compute.features import weights_digest
from keras_transfer.support import files, stopping
from keras_transfer.support.errors import Interruption, UserError
from keras_transfer.support.progress import Progress
from keras_transfer.support.version import __version__
from keras_transfer.training.setup import Setup

Arrays = Sequence[np.ndarray]
Record = dict[str, Any]  # JSON values.
Logs = dict[str, float]  # Losses and metrics of an epoch, as Keras names them.

_STATES = 2  # Kept of a part that has begun: the older one serves where the newer one is damaged.
# Fields of the recipe that change no result, and the data, of which digests, labels and splits tell.
_SAME_RESULTS = ("data", "output", "keep", "checkpoint_every")


@dataclass(frozen=True)
class PhaseState:
    """What a phase of gradient training needs to go on after a step.

    Attributes:
        epochs: Logs of the epochs that ended.
        step: Batches of the next epoch that were trained on.
        seconds: Of training so far.
        variables: Of the model, its seed generators among them.
        optimizer: The optimizer's variables.
        metrics: The metrics' variables, where an epoch has begun.
        best: Weights of the epoch that is kept so far; empty where there is none, or the model has them.
    """

    epochs: list[Logs]
    step: int
    seconds: float
    variables: Arrays
    optimizer: Arrays
    metrics: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


class TrainingState:
    """The files in which a run keeps the state of its training, in a folder of its own.

    Args:
        folder: Of the run.
        every: Steps between two states of a part that has begun, or minutes as `10m`.
        progress: Is warned of states that cannot be read or written.
        always: Keep states as training goes on, and go on from those that an interrupted run left. Otherwise training
            begins anew, and its state is kept only when it is stopped.

    Attributes:
        kept: Whether there is a state of this run.
        resumes: Whether an interrupted run left files to go on from.
    """

    def __init__(self, folder: Path, every: int | str, progress: Progress, always: bool = True) -> None:
        self.folder, self.always, self.kept = folder, always, False
        self._every, self._progress = every, progress
        self._saved = time.monotonic()
        self._failed = False
        self._lock: files.Lock | None = None
        if always:
            try:
                self._lock = files.locked_folder(folder)
            except OSError as error:
                self._warn(error)
        self.resumes = always and any(folder.glob("*.npz"))
        self._ended: list[tuple[str, Record, dict[str, np.ndarray]]] = []  # Parts that have no file yet.

    def ended(self, part: int) -> tuple[Record, dict[int, np.ndarray]] | None:
        """Return what a part that ended before an interruption left: its record, and variables by number."""
        saved = self._read(f"{part:02d}-ended.npz")
        if saved is None:
            return None
        record, arrays = saved
        return record, {int(name): array for name, array in arrays.items()}

    def end(self, part: int, record: Record, variables: dict[int, np.ndarray]) -> None:
        """Keep what a part leaves."""
        self._ended.append((f"{part:02d}-ended.npz", record, {str(key): array for key, array in variables.items()}))
        if self.always:
            self._write_ended()

    def begun(self, part: int) -> tuple[Record, PhaseState] | None:
        """Return the newest state of a part that was interrupted."""
        for file in reversed(self._states(part)):
            saved = self._read(file.name)
            if saved is not None:
                record, arrays = saved
                groups = {key: _listed(arrays, key) for key in ("variables", "optimizer", "metrics", "best")}
                return record["more"], PhaseState(record["epochs"], record["step"], record["seconds"], **groups)
        return None

    def save(self, part: int, state: PhaseState, more: Record) -> None:
        """Keep a state of a part that has begun, and `more` with it."""
        record = {"epochs": state.epochs, "step": state.step, "seconds": state.seconds, "more": more}
        groups = {key: getattr(state, key) for key in ("variables", "optimizer", "metrics", "best")}
        arrays = {f"{key}/{number}": array for key, group in groups.items() for number, array in enumerate(group)}
        self._write(f"{part:02d}-{len(state.epochs):05d}-{state.step:07d}.npz", record, arrays)
        for file in self._states()[:-_STATES]:
            file.unlink(missing_ok=True)
        self._saved = time.monotonic()

    @contextlib.contextmanager
    def kept_when_stopped(self) -> Iterator[None]:
        """Keep the parts that have ended where the block is stopped, or fails by its disk, and say how to go on.

        Raises:
            UserError: the block failed, and the parts are kept.
        """
        try:
            yield
        except (OSError, tf.errors.OpError, Interruption) as error:
            self._write_ended()
            if self.kept:
                raise UserError(f"{error} What was trained is kept: {stopping.GO_ON}") from error
            raise
        except stopping.Stopped as stopped:
            self._write_ended()
            if self.kept:
                raise stopping.Stopped(stopping.RESUMABLE, stopped.exit_code) from None
            if self.always and self._failed:
                raise stopping.Stopped("Stopped; what was trained is lost.", stopped.exit_code) from None
            raise

    def due(self, steps: int) -> bool:
        """Say whether it is time for another state, so many steps after the last one."""
        if not self.always:
            return False
        if isinstance(self._every, int):
            return steps >= self._every
        return time.monotonic() - self._saved >= 60 * float(self._every.removesuffix("m"))

    def discard(self) -> None:
        """Forget everything, also what an earlier run left: the run has ended."""
        if self._lock is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.release()
        elif self.folder.exists():
            with files.unused(self.folder, unsure=False) as unused:
                if unused:
                    shutil.rmtree(self.folder, ignore_errors=True)

    def _states(self, part: int | None = None) -> list[Path]:
        """Return the files of states of parts that have begun, the oldest first."""
        number = "*" if part is None else f"{part:02d}"
        return sorted(self.folder.glob(f"{number}-*-*.npz"))

    def _write_ended(self) -> None:
        while self._ended:
            self._write(*self._ended.pop(0))

    def _write(self, name: str, record: Record, arrays: dict[str, np.ndarray]) -> None:
        try:
            with self._locked(), files.whole(self.folder / name) as staging, staging.open("wb") as stream:
                text = np.frombuffer(json.dumps(record, default=float).encode(), "uint8")
                np.savez(stream, **{"record": text, **arrays})  # type: ignore[arg-type]
            self.kept = True
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        """Say once that no state can be kept."""
        if not self._failed:
            consequence = "what was trained is lost"
            if self.always:
                older = "go on from an older state" if self.kept else "find nothing to go on from"
                consequence = f"training goes on; after an interruption, --resume would {older}"
            self._progress.warn(
                f"The state of training cannot be written to {self.folder} ({error.strerror}): {consequence}."
            )
        self._failed = True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Have the folder, locked, in the block."""
        lock = self._lock or files.locked_folder(self.folder)
        try:
            yield
        finally:
            if lock is not self._lock:
                lock.release()

    def _read(self, name: str) -> tuple[Record, dict[str, np.ndarray]] | None:
        if not self.always or not (self.folder / name).exists():
            return None
        try:
            with zipfile.ZipFile(self.folder / name) as stored:
                # Each is read to its end, where its checksum is checked; what `np.load` reads depends on its header.
                arrays = {key.removesuffix(".npy"): np.load(io.BytesIO(stored.read(key))) for key in stored.namelist()}
            self.kept = True
            return json.loads(arrays.pop("record").tobytes()), arrays
        except Exception:  # Whatever the bytes of a damaged file lead to.
            self._progress.warn(f"The state of training in {self.folder / name} is damaged; the one before is used.")
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
            return None


def folder_of(setup: Setup, cache: Path) -> Path:
    """Return the folder of a run's state in a cache folder, named by all that its results depend on."""
    recipe = {key: value for key, value in dataclasses.asdict(setup.recipe).items() if key not in _SAME_RESULTS}
    examples = setup.examples
    key = {
        "recipe": recipe,
        "classes": examples.classes,
        "task": examples.task,
        "base": [setup.pretrained.key, weights_digest(setup.network.base)],
        "teacher": setup.teacher and setup.teacher.digest,
        "plan": dataclasses.asdict(setup.plan),
        "releases": [__version__, tf.__version__, keras.__version__],
    }
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16)
    digest.update(b"".join(examples.digests))
    for array in (examples.labels, examples.splits, examples.groups):
        digest.update(b"" if array is None else np.ascontiguousarray(array))
    return cache / "states" / digest.hexdigest()


def values(variables: Sequence[Any]) -> list[np.ndarray]:
    """Return the values of variables or tensors."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: Sequence[keras.Variable], arrays: Arrays) -> None:
    """Set variables to kept values; of types that NumPy does not know, as bfloat16, archives hold the bytes."""
    for variable, array in zip(variables, arrays, strict=True):
        dtype = keras.ops.convert_to_numpy(variable).dtype
        variable.assign(array.view(dtype) if array.dtype.kind == "V" else array)


def _listed(arrays: dict[str, np.ndarray], group: str) -> list[np.ndarray]:
    names = [name for name in arrays if name.startswith(f"{group}/")]
    return [arrays[f"{group}/{number}"] for number in range(len(names))]
