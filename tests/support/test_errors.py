import io
from contextlib import redirect_stdout

import pytest

from keras_transfer.support.errors import UserError
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
