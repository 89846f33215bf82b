import importlib.util
import re

import pytest

from tests.conftest import REPOSITORY


def test_the_command_reference_is_current():
    spec = importlib.util.spec_from_file_location("docs_build", REPOSITORY / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    written = (REPOSITORY / "docs" / "commands.md").read_text("utf-8")
    assert written.split() == build.reference().split(), "run: python docs/build.py"


def test_the_readme_has_the_two_lines():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert "pip install -r requirements.txt && python cli.py fit --base vgg16" in readme
    assert "pip install -r requirements.txt && python -m pytest" in readme


@pytest.mark.parametrize("page", ["README.md", "docs/how-a-run-works.md", "docs/measurements.md"])
def test_files_and_links_that_a_page_names_are_there(page):
    file = REPOSITORY / page
    text = file.read_text("utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (file.parent / link).exists(), link
    for path in re.findall(r"`(keras_transfer/[\w/]+\.py)`", text):
        assert (REPOSITORY / path).is_file(), path


def test_every_dependency_is_explained_in_the_readme():
    readme = (REPOSITORY / "README.md").read_text("utf-8").lower()
    for line in (REPOSITORY / "requirements.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name = re.escape(re.split("[<>=]", line)[0].lower())
            assert re.search(rf"^\| {name} +\|", readme, re.MULTILINE), line


@pytest.mark.parametrize("program", ["ruff", "mypy", "import-linter"])
def test_lint_has_the_same_version_wherever_it_runs(program):
    versions = {
        file: re.findall(rf"{program}==([\d.]+)", (REPOSITORY / file).read_text("utf-8"))
        for file in (".ci/run", "CONTRIBUTING.md")
    }
    if program == "ruff":
        versions["hook"] = re.findall(
            r"ruff-pre-commit\n +rev: v([\d.]+)", (REPOSITORY / ".pre-commit-config.yaml").read_text()
        )
    assert len({tuple(found) for found in versions.values()}) == 1, versions
    assert all(versions.values())
