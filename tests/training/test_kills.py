"""Real processes, killed at any instant: as many as KERAS_TRANSFER_KILLS says."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from functools import lru_cache
from io import BytesIO

import h5py
import pytest

from tests.conftest import REPOSITORY, write_photos

KILLS = int(os.environ.get("KERAS_TRANSFER_KILLS", "1"))
MEASURED = {"seconds", "images_per_second", "images_through_the_base", "engine"}  # What differs from run to run.
COMMON = "--batch-size 4 --seed 1 --precision float32 --engine tensorflow --resume --checkpoint-every 1 --quiet"
RECIPES = (
    "--thaw middle_conv --views 2 --dense 8 --dropout 0.3 --head-epochs 1 --fine-tune-epochs 2 --fine-tune-lr 3e-3 "
    "--ema 0.7 --refit on",
    "--method full --views fresh --fine-tune-epochs 4",
)
# Imports TensorFlow once, and forks for each run.
FORKS = """
import json, os, sys
from keras_transfer.support import logs
logs.import_tensorflow()
from keras_transfer import run
from keras_transfer.commands import main
from keras_transfer.training import transfer
for line in sys.stdin:
    arguments, cache, log = json.loads(line)
    process = os.fork()
    if not process:
        os.environ["KERAS_TRANSFER_CACHE"] = cache
        for descriptor in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        try:
            main(arguments)
        except SystemExit as stop:
            os._exit(stop.code or 0)
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Runs:
    """Runs `fit` in processes of its own."""

    def __init__(self, process, data, base, folder):
        self.process, self.folder = process, folder
        self.common = ["fit", str(data), "--base", base, *COMMON.split()]
        self.whole = lru_cache(self._whole)

    def fit(self, recipe, folder, after=None, kill=signal.SIGKILL):
        """Run to the end, or for some seconds; return the exit code and what was said."""
        log = folder / "log.txt"
        log.unlink(missing_ok=True)
        arguments = [*self.common, *RECIPES[recipe].split(), "--output", str(folder / "model")]
        print(json.dumps([arguments, str(folder / "cache"), str(log)]), file=self.process.stdin, flush=True)
        number = int(self.process.stdout.readline())
        timer = threading.Timer(after, os.kill, (number, kill)) if after is not None else None
        if timer is not None:
            timer.start()
        code = int(self.process.stdout.readline())
        if timer is not None:
            timer.cancel()
        return code, log.read_text()

    def _whole(self, recipe):
        """What a run leaves that nothing interrupts, and its seconds."""
        folder = self.folder / f"whole-{recipe}"
        folder.mkdir()
        begun = time.monotonic()
        code, said = self.fit(recipe, folder)
        assert code == 0, said
        return left(folder), time.monotonic() - begun


@pytest.fixture(scope="module")
def runs(deep_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    data = write_photos(folder / "photos", 7)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKS], cwd=REPOSITORY, **pipes) as process:
        yield Runs(process, data, deep_base, folder)
        process.stdin.close()


def left(folder):
    """The newest version's weights, history and metrics."""
    extra = max((folder / "model").glob("[0-9]*")) / "assets.extra"
    weights = {}
    with (
        zipfile.ZipFile(extra / "model.keras") as archive,
        h5py.File(BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        file.visititems(lambda name, item: weights.update({name: item[()].tobytes()} if hasattr(item, "shape") else {}))
    metrics = json.loads((extra / "metrics.json").read_text(), object_hook=lambda record: {
        key: value for key, value in record.items() if key not in MEASURED
    })  # fmt: skip
    return weights, (extra / "history.csv").read_text(), metrics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_if_it_had_not_been(runs, tmp_path, number):
    recipe = number // 3 % len(RECIPES)
    expected, seconds = runs.whole(recipe)
    after = seconds * (0.05 + 0.95 * ((0.55 + number * 0.618) % 1))  # Not before signals are handled.
    kill = signal.SIGTERM if number % 3 == 1 else signal.SIGKILL
    code, said = runs.fit(recipe, tmp_path, after, kill)
    if kill == signal.SIGTERM and code:
        assert code == 143, said
        assert said.splitlines()[-1] == "Stopped; go on with the same command and --resume."
        assert not list(tmp_path.rglob(".writing*"))
    code, said = runs.fit(recipe, tmp_path)
    assert code == 0, said
    assert left(tmp_path) == expected, f"killed after {after:.2f} of {seconds:.2f} s"
