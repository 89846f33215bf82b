import ast
import importlib.util
import re

import pytest

from keras_transfer import commands
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


PAGES = sorted(["README.md", "CONTRIBUTING.md", *(f"docs/{file.name}" for file in (REPOSITORY / "docs").glob("*.md"))])


def headings(page):
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_that_a_page_names_are_there(page):
    file = REPOSITORY / page
    text = file.read_text("utf-8")
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        target = file.parent / link if link else file
        assert target.exists(), link
        assert not anchor or anchor in headings(target), f"{link}#{anchor}"
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
    assert len({tuple(pinned) for pinned in versions.values()}) == 1, versions
    assert all(versions.values())


def test_every_page_is_reached_from_the_readme():
    linked = re.findall(r"\]\(docs/([\w-]+\.md)\)", (REPOSITORY / "README.md").read_text("utf-8"))
    assert {file.name for file in (REPOSITORY / "docs").glob("*.md")} == set(linked)


def test_the_tutorial_puts_no_photo_into_a_command_line():
    """An argument of 128 KiB is too long for Linux."""
    assert "$(base64" not in (REPOSITORY / "docs" / "tutorial.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_there(page):
    """With their options."""
    for line in re.findall(r"python cli\.py ([a-z]+[^`\n|#]*)", (REPOSITORY / page).read_text("utf-8")):
        name, *words = line.replace("'", " ").split()
        assert name in commands.cli.commands, line
        known = {option for parameter in commands.cli.commands[name].params for option in parameter.opts}
        assert {word.split("=")[0].rstrip(",.") for word in words if word.startswith("--")} <= known | {"--help"}, line


def test_messages_that_the_page_of_troubles_explains_are_those_of_the_program():
    """In the page, `...` stands for names and numbers."""
    texts = [
        node.value
        for file in (REPOSITORY / "keras_transfer").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    page = (REPOSITORY / "docs" / "troubles.md").read_text("utf-8")
    messages = [
        message for bold in re.findall(r"\*\*(.+?)\*\*", page, re.DOTALL) for message in re.findall("`([^`]+)`", bold)
    ]
    assert len(messages) > 20
    for message in messages:
        for part in " ".join(message.split()).split("..."):
            assert any(part.strip(" ,:;()'") in text for text in texts), part
