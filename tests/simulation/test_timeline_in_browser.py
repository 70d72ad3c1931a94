"""The page of `busframe timeline` in a browser: what is shown, pointed at, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulator_control.browser import CHROMIUM, DRIVER, MISSING, Browser
from simulation.apps import naive

from busframe.simulation import SimulationFailedError, failure_file, simulate
from busframe.simulation.page import html_page
from busframe_emulator.delivery.profiles import CALM_PROFILE
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("page")
    script = Script([("recv.dup", ("orders", 1, 1), 1), ("node.crash", ("worker[0]", 1), 100_000)])
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=1, profile=CALM_PROFILE, shrink=False, script=script)
    saved = failure_file.load(failure_file.save(caught.value.failure, folder))
    page = folder / "page.html"
    page.write_text(html_page(saved), encoding="utf-8")
    with Browser(folder / "profile") as browser:
        browser.open(page.as_uri())
        yield browser


COLOUR = "return getComputedStyle(document.body).backgroundColor"


def test_it_says_what_broke_and_draws_the_lanes(browser: Browser) -> None:
    assert browser.text("h1") == "exactly_once in naive"
    assert "is delivered twice" in browser.text(".script")
    assert browser.text("#replay").startswith("bf1.")
    names = browser.run("return [...document.querySelectorAll('#about text.head')].map(e => e.lastChild.textContent)")
    assert names == ["seconds", "test", "worker[0]", "worker[1]", "orders#1"]
    assert browser.run("return document.querySelectorAll('#about .event.wrong').length") == 2
    assert browser.run("return document.querySelectorAll('#about rect.lease').length") >= 2
    assert not browser.complaints()


def test_no_two_labels_of_one_row_lie_on_each_other(browser: Browser) -> None:
    overlaps = browser.run("""
        let found = [];
        for (const event of document.querySelectorAll('#about .event')) {
            const boxes = [...event.querySelectorAll('text')].map(t => t.getBoundingClientRect());
            boxes.sort((a, b) => a.left - b.left);
            boxes.forEach((box, i) => { if (i && boxes[i - 1].right > box.left) found.push(event.textContent); });
        }
        return found;
    """)
    assert overlaps == []


def test_arrow_keys_go_from_event_to_event_and_say_each(browser: Browser) -> None:
    browser.run("document.querySelector('#about .event.wrong').focus()")
    first = browser.text("#detail")
    assert "effect" in first
    assert "<< exactly_once" in first
    browser.press("\ue015")
    assert browser.text("#detail") != first
    browser.press("\ue013")
    assert browser.text("#detail") == first


def test_all_messages_can_be_shown(browser: Browser) -> None:
    browser.click("#all")
    assert browser.run("return document.getElementById('about').hidden")
    assert "orders#6" in browser.run("return document.getElementById('everything').textContent")
    browser.click("#all")
    assert not browser.run("return document.getElementById('about').hidden")


def test_it_is_light_or_dark_as_the_reader_prefers(browser: Browser) -> None:
    browser.prefer("light")
    light = browser.run(COLOUR)
    browser.prefer("dark")
    assert browser.run(COLOUR) != light
