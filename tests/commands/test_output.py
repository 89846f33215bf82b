import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a file of Linux that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["bases"], ["bases", "--json"], ["--help"]])
def test_output_that_cannot_be_written_is_told_in_a_line(arguments, unbuffered):
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "cli.py", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "Error: Standard output cannot be written (No space left on device).\n",
    )
