"""The page at `/` as it is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emulator_control.asking import Ask

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
FILES = ["/_busframe/page/", "/_busframe/page/page.css", "/_busframe/page/page.js"]


def test_a_browser_gets_the_page_and_others_a_line_of_text(ask: Ask) -> None:
    page = ask.get("/", Accept=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    line = ask.get("/", Accept="*/*")
    assert line.headers["content-type"].startswith("text/plain")
    assert page.headers["vary"] == line.headers["vary"] == "Accept"


def test_a_query_from_a_browser_is_still_a_query(ask: Ask) -> None:
    assert "ListQueuesResponse" in ask.get("/?Action=ListQueues", Accept=BROWSER).text


@pytest.mark.parametrize("path", FILES)
def test_no_file_loads_anything_from_elsewhere(ask: Ask, path: str) -> None:
    answer = ask.get(path)
    assert answer.status == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    addresses = set(re.findall(r"https?://[^\s'\"`)]+", answer.text))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_the_page_has_nothing_that_the_policy_would_stop(ask: Ask) -> None:
    page = ask.get("/", Accept=BROWSER).text
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", page)
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in ask.get("/_busframe/page/page.js").text


def test_files_are_read_and_not_written(ask: Ask) -> None:
    assert ask("HEAD", "/_busframe/page/page.js").text == ""
    assert ask.post("/_busframe/page/page.js").status == 404
    assert ask.get("/_busframe/page/../control/access.py").status == 404
