from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from cli.shop import APP, command_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a program in it and a broker named."""
    (tmp_path / "shop_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("BUSFRAME_URL", "sqlite:///shop.db")
    monkeypatch.delenv("BUSFRAME_RECIPIENTS", raising=False)
    monkeypatch.delenv("BUSFRAME_INBOX", raising=False)
    monkeypatch.delitem(sys.modules, "shop_app", raising=False)
    return tmp_path


@pytest.fixture
def asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, after `topology apply`; gives its exit code, output and complaints."""
    assert folder.is_dir()

    def ask(name: str, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = command_of(name)(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    assert ask("topology", "apply", "shop_app:bus")[0] == 0
    return ask
