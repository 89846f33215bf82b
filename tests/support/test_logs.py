import gc
import logging
import os
import subprocess
import sys

import pytest

from keras_transfer.support import logs, program
from tests.conftest import REPOSITORY


def test_several_runs_in_a_process_do_not_warn_of_retracing(caplog, monkeypatch):
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "filters", [])
    monkeypatch.setattr(logger, "propagate", True)
    logs.without_retracing_warnings()
    logger.warning("5 out of the last 9 calls to <function> triggered tf.function retracing. Tracing is expensive.")
    logger.warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]


def _fail_in_c_code(error):
    with logs._without_standard_error():
        os.write(2, b"said by C++")
        raise error


@pytest.mark.parametrize(("error", "told"), [(RuntimeError, True), (KeyboardInterrupt, False)])
def test_what_c_code_said_is_told_where_it_failed_but_not_on_interruption(error, told, capfd):
    with pytest.raises(error):
        _fail_in_c_code(error)
    assert ("said by C++" in capfd.readouterr().err) is told


def test_what_a_command_imports_is_never_searched_for_garbage_but_all_else_is(monkeypatch):
    monkeypatch.setattr(program, "_from_command_line", True)
    with logs._without_collections():
        assert not gc.isenabled()
        imported = [[]]
    try:
        assert gc.isenabled()
        assert not any(tracked is imported for tracked in gc.get_objects())
        later = [[]]
        assert any(tracked is later for tracked in gc.get_objects())
    finally:
        gc.unfreeze()


def test_garbage_of_a_program_that_uses_the_package_is_found(monkeypatch):
    monkeypatch.setattr(program, "_from_command_line", False)
    before = gc.get_freeze_count()
    with logs._without_collections():
        assert not gc.isenabled()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, before)


def test_openvino_tells_nobody_of_a_run(tmp_path):
    pytest.importorskip("openvino")
    program = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"  # Which takes long to import.
        "from keras_transfer.support import logs; logs.import_tensorflow()\n"
        "import openvino; openvino.Core()"
    )
    in_ci = ("CI", "TF_BUILD", "JENKINS_URL")  # There OpenVINO tells nobody anyhow.
    environment = {name: value for name, value in os.environ.items() if name not in in_ci} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (tmp_path / "intel").exists()  # Where it keeps the name that it gave to the user.
