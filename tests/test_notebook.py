"""The notebook runs from top to bottom, on local data and a small base, and its kept outputs are of a whole run."""

import os
import re

import pytest

from tests.conftest import REPOSITORY
from tests.serving.servers import free_port

NOTEBOOK = REPOSITORY / "notebooks" / "colab.ipynb"


def text_of(notebook):
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs), outputs


def test_it_runs_from_top_to_bottom(photos, tiny_base, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("uvicorn")
    monkeypatch.setenv("NOTEBOOK_DATA", str(photos))
    monkeypatch.setenv("NOTEBOOK_PORT", str(free_port()))
    monkeypatch.setenv("NOTEBOOK_BASE", tiny_base)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text, outputs = text_of(notebook)
    assert "Test accuracy" in text
    assert "GPUs:" in text
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert any("<h2>Mistakes" in page and "data:image/png" in page for page in pages)
    assert (tmp_path / "saved_models" / "notebook" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "model.tflite").is_file()
    assert (tmp_path / "model.zip").is_file()
    served = next(cell for cell in notebook.cells if "server.terminate()" in cell.source)
    assert served.outputs[0].text.split()[0] in ("blue", "green", "red")


def test_its_outputs_are_kept_and_name_no_machine():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, 4)
    text, outputs = text_of(notebook)
    assert all(cell.outputs for cell in notebook.cells[2:] if cell.cell_type == "code" and "print" in cell.source)
    assert "Test accuracy" in text
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search(r"/(home|tmp|root|work|usr)/", NOTEBOOK.read_text("utf-8"))
    assert NOTEBOOK.stat().st_size < 300_000
    assert "<h2>Mistakes" in NOTEBOOK.read_text("utf-8")
    assert "image/jpeg" not in NOTEBOOK.read_text("utf-8"), "photos are not ours to publish"
