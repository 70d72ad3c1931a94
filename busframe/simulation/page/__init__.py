"""A failure as one HTML page without anything from elsewhere: the report, and the record drawn in lanes.

The drawing is SVG, so the page says all it has to say without a script; the script adds looking at one event after the
other, by pointer or keyboard.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from busframe.simulation.lanes import focused
from busframe.simulation.page.drawing import draw

if TYPE_CHECKING:
    from busframe.simulation.failure_file import SavedFailure

LINES_MAX: Final = 2_000
"""How much of a record is drawn: more than anybody reads, and a page that opens at once."""


def html_page(saved: SavedFailure) -> str:
    """Draw a failure."""
    folder = files(__name__)
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    title = f"{saved.check} in {saved.name}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="tool">busframe: a simulated run</p>
<h1><span class="bad">{escape(saved.check)}</span> in {escape(saved.name)}</h1>
<p class="what">{escape(_first_line(saved.text))}</p>
<p class="quiet">{escape(saved.where)}</p>
</header>
<main>
{_script(saved)}{_replay(saved)}{_timeline(saved)}{_report(saved)}</main>
<script>
{script}</script>
</body>
</html>
"""


def _script(saved: SavedFailure) -> str:
    if not saved.deviations:
        return ""
    items = "".join(
        f'<li><b>{escape(words)}</b><br><span class="quiet">allowed: {escape(reason)}</span></li>'
        for words, reason in saved.deviations
    )
    return f'<section><h2>What the world did</h2><ol class="script">{items}</ol></section>\n'


def _replay(saved: SavedFailure) -> str:
    if not saved.replay:
        return ""
    return (
        '<section><h2>Replay</h2><div class="replay"><pre tabindex="0"><code id="replay">'
        f'{escape(saved.replay)}</code></pre><button type="button" id="copy" hidden>Copy</button></div></section>\n'
    )


def _timeline(saved: SavedFailure) -> str:
    everything = saved.lines
    about = focused(saved)
    left_out = len(everything) - LINES_MAX
    note = f'<p class="quiet">{left_out} later lines are not drawn.</p>' if left_out > 0 else ""
    short = len(about) < len(everything)
    choice = (
        '<label class="choice"><input type="checkbox" id="all"> all messages '
        f'<span class="quiet">({len(everything)} lines instead of {len(about)})</span></label>'
        if short
        else ""
    )
    drawings = f'<div class="scroll" id="about">{draw(about[:LINES_MAX], saved.bodies)}</div>'
    if short:
        drawings += f'<div class="scroll" id="everything" hidden>{draw(everything[:LINES_MAX], saved.bodies)}</div>'
    return (
        f'<section class="wide"><div class="head"><h2>What happened</h2>{choice}</div>'
        '<p class="legend quiet"><span class="key alive"></span> a node is up '
        '<span class="key lease"></span> a delivery hides the message from others '
        '<span class="key cause"></span> the world\'s doing <span class="key wrong"></span> what broke '
        "&nbsp; Time goes down, in virtual seconds. Arrow keys go from event to event.</p>"
        f"{drawings}{note}"
        '<div id="detail" role="status" aria-live="polite"></div></section>\n'
    )


def _report(saved: SavedFailure) -> str:
    return (
        '<section class="wide"><details><summary>The report as it was printed</summary>'
        f'<pre tabindex="0"><code>{escape(saved.report)}</code></pre></details></section>\n'
    )


def _first_line(text: str) -> str:
    first, *rest = text.splitlines() or [""]
    return f"{first} ..." if rest else first
