import os
import signal
import sys
from contextlib import nullcontext, suppress

import pytest

from keras_transfer import commands, run
from keras_transfer.support import stopping


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Stopped; nothing was written."),
        (["--resume"], "Stopped; go on with the same command and --resume."),
    ],
)
def test_a_signal_ends_fit_with_one_line_and_its_exit_code(monkeypatch, capsys, number, code, options, said):
    monkeypatch.setattr(run, "_fit", lambda *arguments: send(number))
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        commands.main(["fit", "photos/", *options])
    assert ended.value.code == code
    assert capsys.readouterr().err == f"{said}\n"
    assert signal.getsignal(number) == before


def test_a_deferred_signal_waits_for_a_place_to_end_and_a_second_one_does_not():
    done = []
    with suppress(stopping.Stopped), stopping.raised("Stopped."), stopping.deferred() as request:
        send(signal.SIGTERM)
        done.append(request.requested)
        request.end_if_requested()
        done.append("never")
    with suppress(stopping.Stopped), stopping.raised("Stopped."), stopping.deferred():
        send(signal.SIGTERM)
        done.append("first")
        send(signal.SIGTERM)
        done.append("never")
    with suppress(stopping.Stopped), stopping.raised("Stopped."):
        with stopping.deferred():
            send(signal.SIGTERM)
            done.append("to the end")
        done.append("never")
    assert done == [True, "first", "to the end"]


@pytest.mark.parametrize("block", [stopping.deferred, nullcontext])
def test_an_error_that_a_signal_becomes_is_no_answer(block):
    def become():
        with stopping.raised("Stopped."), block():
            try:
                send(signal.SIGTERM)
            finally:
                raise SystemError("returned a result with an exception set")

    with pytest.raises(stopping.Stopped, match=r"^Stopped\.$"):
        become()


def test_a_signal_does_not_keep_the_work_from_cleaning_up():
    cleaned = False
    with suppress(stopping.Stopped), stopping.raised("Stopped."):
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGTERM)
            cleaned = True
    assert cleaned


def test_a_thread_of_its_own_gets_no_handlers():
    from concurrent.futures import ThreadPoolExecutor

    def work():
        with stopping.raised("Stopped."), stopping.deferred() as request:
            return request.requested

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is False


def test_who_waits_at_a_terminal_is_told_why(monkeypatch):
    reading, writing = os.openpty()
    with open(writing, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with suppress(stopping.Stopped), stopping.raised("Stopped."), stopping.deferred():
            send(signal.SIGINT)
            monkeypatch.undo()
        assert b"Stopping after this step; Ctrl-C again stops at once." in os.read(reading, 200)
    os.close(reading)
