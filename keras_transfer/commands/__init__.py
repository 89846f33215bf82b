"""The commands: click declarations, each calling one public function of the package.

TensorFlow is imported within the commands that need it, so that `--help`, listings and option errors answer at once.
"""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from keras_transfer.commands import data, modelling, output, serving  # noqa: F401 (they add their commands to the group)
from keras_transfer.commands.group import cli
from keras_transfer.support import stopping
from keras_transfer.support.errors import UserError
from keras_transfer.support.program import program, start_command_line
from keras_transfer.support.terminal import message


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit code 2 for a wrong option, 1 for work that failed, no traceback unless `--debug`."""
    start_command_line()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Names of files need not be UTF-8, nor of letters that the terminal has; standard error escapes them by itself.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    if debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")
    signals = [signal.SIGINT] if callable(signal.getsignal(signal.SIGINT)) else []  # Under nohup, it is another's.
    try:
        with stopping.raised(stopping.INTERRUPTED, signals), output.named():
            cli.main(arguments, prog_name=program(), standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(stopping.INTERRUPTED, err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _fail(
            f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]} (--debug shows where)", 1
        )


def _fail(text: str, code: int) -> None:
    click.echo(message(f"Error: {text}", sys.stderr), err=True)
    sys.exit(code)
