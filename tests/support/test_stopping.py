import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress

import pytest

from keras_transfer import commands, run
from keras_transfer.support import stopping


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
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


def test_a_closed_terminal_does_not_end_what_nohup_started():
    before, done = signal.signal(signal.SIGHUP, signal.SIG_IGN), []
    try:
        with stopping.raised("Stopped."), stopping.deferred():
            send(signal.SIGHUP)
            done.append("goes on")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done == ["goes on"]


WORK = """
import time
from keras_transfer.support import stopping
from keras_transfer.support.progress import Progress

ended = False
try:
    with stopping.raised("Stopped."), stopping.deferred() as request, Progress().activity("Work"):
        while not request.requested:
            time.sleep(0.01)
        time.sleep(0.5)
        Progress().say("Still at work.")
        ended = True
        request.end_if_requested()
except stopping.Stopped as stopped:
    raise SystemExit(stopped.exit_code if ended else 1)
"""


def test_a_closed_terminal_ends_the_work_where_it_may_end():
    reading, writing = os.openpty()
    command = [sys.executable, "-c", WORK]
    process = subprocess.Popen(command, stdin=writing, stdout=writing, stderr=writing, start_new_session=True)
    os.close(writing)
    seen = b""
    while b"Work" not in seen:  # Codes that hide the cursor may come alone.
        seen += os.read(reading, 200)
    os.close(reading)
    for _ in range(2):  # As shell and kernel do.
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    assert process.wait(60) == 129


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
