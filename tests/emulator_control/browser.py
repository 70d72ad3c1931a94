"""A headless Chromium, driven through chromedriver by the WebDriver protocol: a dozen HTTP calls need no library."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER: Final = shutil.which("chromedriver")
MISSING: Final = "chromium and chromedriver are not installed here (Debian: apt-get install chromium chromium-driver)"

_ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
_WAIT_MS: Final = 15_000

# Looks at every frame the browser draws until the expression holds.
_UNTIL: Final = """
const done = arguments[arguments.length - 1];
const given = Array.from(arguments).slice(0, -1);
const holds = new Function("return (" + given.shift() + ")");
(function look() { const value = holds(...given); value ? done(value) : setTimeout(look, 10); })();
"""


class Browser:
    """One browser with a profile of its own.

    Args:
        profile: a fresh directory.
    """

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        assert DRIVER is not None
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        line = next(line for line in self._driver.stdout if "started successfully on port" in line)
        self._port = int(line.rstrip().rstrip(".").rpartition(" ")[2])
        options = {"binary": CHROMIUM, "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": _WAIT_MS},
        }
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._path = f"/session/{session['sessionId']}"

    def open(self, url: str) -> None:
        self._ask("url", url=url)

    def run(self, script: str, *arguments: object) -> Any:
        return self._ask("execute/sync", script=script, args=arguments)

    def wait_until(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true."""
        return self._ask("execute/async", script=_UNTIL, args=[expression])

    def click(self, selector: str) -> None:
        self._ask(f"element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._ask(f"element/{self._find(selector)}/value", text=text)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def prefer(self, scheme: str) -> None:
        """Be "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": features})

    def screenshot(self, to: Path) -> None:
        to.write_bytes(b64decode(self._call("GET", f"{self._path}/screenshot", None)))

    def complaints(self) -> list[str]:
        """What the console had to say since it was last asked."""
        return [str(entry["message"]) for entry in self._ask("se/log", type="browser")]

    def close(self) -> None:
        self._call("DELETE", self._path, None)
        self._driver.terminate()
        self._driver.communicate(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, selector: str) -> str:
        return str(self._ask("element", using="css selector", value=selector)[_ELEMENT])

    def _ask(self, what: str, **members: object) -> Any:
        return self._call("POST", f"{self._path}/{what}", members)

    def _call(self, method: str, path: str, document: object) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: Any = json.loads(response.read())["value"]
            failed = response.status != HTTPStatus.OK
        finally:
            connection.close()
        if failed:
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return answer
