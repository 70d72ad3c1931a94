"""`app:bus`: the bus of a program, named on a command line."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from busframe.bus import Bus
from busframe.errors import InvalidArgumentError


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
        raise InvalidArgumentError("app", name, "module:bus, such as 'shop.app:bus'")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        # Another missing module is the program's own trouble, and its traceback says where.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        allowed = f"a module: there is none named {error.name!r}, neither in {here} nor installed"
        raise InvalidArgumentError("app", name, allowed) from error
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Bus):
        return found
    buses = ", ".join(f"{module_name}:{key}" for key, value in vars(module).items() if isinstance(value, Bus))
    raise InvalidArgumentError("app", name, f"a Bus; {module_name} has {buses or 'none'}")
