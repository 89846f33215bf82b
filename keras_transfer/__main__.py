"""Where the command line starts, by `python cli.py`, `python -m keras_transfer` or the installed program.

It imports next to nothing, so that Ctrl-C during the imports of the rest is answered as it is later.
"""

import os
import signal

_INTERRUPTED = "Interrupted; nothing was written."


def main() -> None:
    """Run the command line."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # Elsewhere, as under nohup, Ctrl-C is another's.
        signal.signal(signal.SIGINT, _end)
    from keras_transfer.commands import main as run

    try:
        run()
    finally:
        signal.signal(signal.SIGINT, before)


def _end(*_: object) -> None:
    """End the process at once: an exception within an import may be caught there, or shown as a traceback."""
    os.write(2, f"{_INTERRUPTED}\n".encode())
    os._exit(130)


if __name__ == "__main__":
    main()
