"""README.md and docs: links lead somewhere, commands and names exist, programs that stand alone run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from command_help import DECLARED, help_of, inner_commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

by_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What can stand behind the `#`, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def links(page: Path) -> list[str]:
    without_code = re.sub(r"`[^`\n]*`(?!\])", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


@by_page
def test_every_link_leads_to_a_file_of_the_project_and_to_a_heading_in_it(page: Path) -> None:
    wrong: list[str] = []
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page) if link[:1] != "#"
    }
    assert [page.name for page in PAGES[1:] if page not in linked] == []


def commands_named(page: Path) -> list[list[str]]:
    """The words of each `busframe ...`, in the running text and behind the prompt of a console."""
    inline = re.findall(r"(?<!`)`(busframe [^`]+)`(?!`)", prose(page))
    shown = re.findall(r"^\$ (busframe .+)$", text_of(page), re.MULTILINE)
    return [line.split()[1:] for line in (*inline, *shown)]


@by_page
def test_every_command_that_is_named_is_there_with_its_options(page: Path) -> None:
    wrong: list[str] = []
    for first, *rest in commands_named(page):
        if first in {"COMMAND", "COMMAND:", "--help", "--version"}:
            continue
        if first not in DECLARED:
            wrong.append(first)
            continue
        inner = [word for word in rest[:1] if word in inner_commands(first)]
        known = help_of(first, *inner)
        options = [word for word in rest if re.fullmatch(r"--[a-z][a-z-]*", word) and word != "--help"]
        wrong += [f"{first} {option}" for option in options if not re.search(rf"{option}(?![\w-])", known)]
    assert wrong == []


@by_page
def test_every_example_is_python_and_imports_what_is_there(page: Path) -> None:
    for source in blocks(page, "python"):
        # `f(a=1, ...)` is how a page leaves something out.
        whole = source.replace(", ...)", ")")
        tree = compile(whole, page.name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("busframe"):
                assert [name.name for name in node.names if not is_there(node.module or "", name.name)] == []
            elif isinstance(node, ast.Import):
                for name in node.names:
                    if name.name.startswith("busframe"):
                        importlib.import_module(name.name)


def is_there(module: str, name: str) -> bool:
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


def test_the_first_program_of_the_readme_handles_its_message_and_its_test_finds_what_the_page_shows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = blocks(PAGES[0], "python")
    (tmp_path / "shop_of_the_page.py").write_text(first + second)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    program: Any = importlib.import_module("shop_of_the_page")
    monkeypatch.delitem(sys.modules, "shop_of_the_page")
    assert capsys.readouterr().out == "billed o1\n"
    with pytest.raises(AssertionError, match=r"exactly_once broken") as failed:
        program.test_checkout()
    assert re.search(r"'o\d' has 2 effects", str(failed.value))
