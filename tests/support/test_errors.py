import errno
import io
import os
from contextlib import redirect_stdout

import pytest

from keras_transfer.support.errors import UserError, failed_write
from keras_transfer.support.stopping import Stopped


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("photos/ lists no images."), "UserError: photos/ lists no images."),
        (Stopped("Stopped; nothing was written.", 130), "Stopped; nothing was written."),
    ],
)
def test_a_notebook_shows_the_line_that_helps_and_no_traceback(error, line):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()

    def failing():
        raise error

    shell.push({"failing": failing})
    with redirect_stdout(io.StringIO()) as shown:
        shell.run_cell("failing()")
    assert shown.getvalue().strip() == line


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_failed_write_is_told_as_the_operating_system_does(code):
    text = os.strerror(code)
    for error in (
        OSError(code, "file write failed: time = Sat", "/tmp/x"),
        RuntimeError(f"{{{{node Save}}}} x; {text}"),
    ):
        failed = failed_write(error)
        assert (failed.errno, str(failed)) == (code, f"[Errno {code}] {text}")
    assert failed_write(UserError(f"cache cannot be written to ({text}).")) is None
    assert failed_write(ValueError("no write at all")) is None
