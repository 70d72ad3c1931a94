"""`app:bus`: the bus of a program, named on a command line."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from busframe.bus import Bus
from busframe.errors import InvalidArgumentError
from busframe.foreign import FOREIGN
from busframe.message_type import message_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from busframe.message_type import MessageType


def find_bus(name: str) -> Bus:
    """Import a module and take the bus it has under a name. The working directory is looked in first.

    What the module raises while it is imported comes out as it is.

    Args:
        name: `package.module:bus`; the bus may be an attribute of something, `module:app.bus`.

    Raises:
        InvalidArgumentError: there is no such module or attribute, or it is no bus.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        example = f"{_as_module(module_name) or 'shop.app'}:{attribute or 'bus'}"
        raise InvalidArgumentError("app", name, f"a module and what its bus is named there, such as {example}")
    if (as_module := _as_module(module_name)) != module_name:
        raise InvalidArgumentError(
            "app", name, f"a module, with dots and no .py: {as_module or 'shop.app'}:{attribute}"
        )
    module = _import(name, module_name)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Bus):
        return found
    raise InvalidArgumentError("app", name, _instead(module, attribute, found))


def _as_module(path: str) -> str:
    """What a file is called when it is imported: people paste its path."""
    return re.sub(r"[/\\]+", ".", path.removeprefix("./").removesuffix(".py")).strip(".")


def _import(name: str, module_name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        # Another missing module is the program's own trouble, and its traceback says where.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        allowed = f"a module: there is none named {error.name!r}, neither in {here} nor installed"
        raise InvalidArgumentError("app", name, allowed) from error
    except SyntaxError as error:
        line = (error.text or "").strip()
        allowed = f"a module of Python: {error.filename}, line {error.lineno}: {error.msg}: {line}"
        raise InvalidArgumentError("app", name, allowed) from error


def _instead(module: ModuleType, attribute: str, found: object) -> str:
    """Say what is there, where there is no bus of that name."""
    buses = [f"{module.__name__}:{key}" for key, value in vars(module).items() if isinstance(value, Bus)]
    have = f"it has {', '.join(buses)}" if buses else "it has none at all"
    if found is None:
        called = re.fullmatch(r"(.+)\(.*\)", attribute)
        if called is None:
            return f"the name of a Bus in {module.__name__}, which has no {attribute!r}; {have}"
        attribute = called[1]
    elif not callable(found):
        return f"a Bus, and this is a {type(found).__name__}; {have}"
    # It makes one, perhaps. Called here, it would make another than the program's own.
    return f"a Bus, and nothing is called for it: write `bus = {attribute}()` in the module and name that; {have}"


def find_message_type(bus: Bus, app: str, name: str) -> MessageType:
    """Find a message type by its name on the wire: one that the bus handles, or that the program declares.

    Args:
        bus: of the program.
        app: where it was found, `package.module:bus`. All modules of that package that are loaded are looked through.
        name: on the wire, or an alias.

    Raises:
        InvalidArgumentError: there is none; it says which there are.
    """
    kinds = {handler.kind.name: handler.kind for group in bus.groups.values() for handler in group.all_handlers}
    kinds.update((kind.name, kind) for kind in _declared(app.partition(":")[0].partition(".")[0]))
    kinds.pop(FOREIGN.name, None)
    for kind in kinds.values():
        if name == kind.name or name in kind.aliases:
            return kind
    raise InvalidArgumentError("name", name, f"a message type of {app}: {', '.join(sorted(kinds)) or 'it has none'}")


def _declared(package: str) -> Iterator[MessageType]:
    for module_name, module in list(sys.modules.items()):
        if module_name == package or module_name.startswith(f"{package}."):
            for value in list(vars(module).values()):
                if isinstance(value, type):
                    with suppress(InvalidArgumentError):
                        yield message_type(value)
