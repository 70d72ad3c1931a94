"""What a user of the library reads in an editor: every public name says what its signature cannot."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PUBLIC = [
    "busframe",
    "busframe.errors",
    "busframe.testing",
    "busframe.simulation",
    "busframe_emulator.boto",
    "busframe_emulator.boto.recording",
    "busframe_emulator.server.thread",
    "busframe_emulator.delivery",
    "busframe_emulator.delivery.faults",
]

REFERRAL = re.compile(r"\b[Aa]s (?:for |in |those of )?`|\b[Ss]ee `|\bthe same\b|\bArguments as\b|\bas `")
"""Says where the rest stands."""


def functions_of(module_name: str) -> Iterator[tuple[str, Callable[..., object], str]]:
    """Public functions, methods and properties, each with its name and the docstring of the class around it."""
    for name, value in exported(module_name):
        if inspect.isclass(value):
            around = " ".join(inspect.getdoc(base) or "" for base in value.__mro__ if base is not object)
            for member, found in vars(value).items():
                function = _function(found)
                if not member.startswith("_") and function is not None:
                    yield f"{name}.{member}", function, around
        elif inspect.isroutine(value):
            yield name, value, ""


def exported(module_name: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(module_name)
    names: list[str] = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module_name
    ]
    return ((name, getattr(module, name)) for name in names)


def _function(found: object) -> Callable[..., object] | None:
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    return inspect.unwrap(found) if inspect.isfunction(found) else None


def is_hollow(text: str | None) -> bool:
    return text is None or (len(text.split()) < 3 and not REFERRAL.search(text))


def names_it(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def parameters_to_explain(function: Callable[..., object]) -> list[str]:
    """All of them where there are several; a single one only if it is a number, which has a unit and a range."""
    found = [
        parameter
        for parameter in inspect.signature(inspect.unwrap(function)).parameters.values()
        if parameter.name not in {"self", "cls"} and not parameter.name.startswith("_")
    ]
    if [parameter.name for parameter in found] == ["outcome", "calm"]:
        return []  # of every `Check`, which explains them
    if len(found) == 1 and not re.search(r"\b(int|float)\b", str(found[0].annotation)):
        return []
    return [parameter.name for parameter in found]


def errors_raised(function: Callable[..., object]) -> set[str]:
    """By the function itself, not by what it calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return {
        raised.exc.func.id
        for raised in ast.walk(tree)
        if isinstance(raised, ast.Raise)
        and isinstance(raised.exc, ast.Call)
        and isinstance(raised.exc.func, ast.Name)
        and raised.exc.func.id.endswith("Error")
    }


@pytest.mark.parametrize("module_name", PUBLIC)
def test_every_public_name_says_something(module_name: str) -> None:
    classes = [(name, value) for name, value in exported(module_name) if inspect.isclass(value)]
    # A dataclass without a docstring gets its signature for one.
    hollow = [name for name, kind in classes if is_hollow(kind.__doc__) or (kind.__doc__ or "").startswith(f"{name}(")]
    hollow += [name for name, function, _ in functions_of(module_name) if is_hollow(inspect.getdoc(function))]
    assert hollow == []


@pytest.mark.parametrize("module_name", PUBLIC)
def test_parameters_are_explained_where_they_are_or_it_is_said_where(module_name: str) -> None:
    unsaid: list[str] = []
    for name, function, around in functions_of(module_name):
        text = inspect.getdoc(function) or ""
        if not REFERRAL.search(text):
            missing = [p for p in parameters_to_explain(function) if not names_it(f"{text} {around}", p)]
            unsaid += [f"{name}({parameter})" for parameter in missing]
    assert unsaid == []


@pytest.mark.parametrize("module_name", PUBLIC)
def test_numbers_that_a_public_class_holds_are_explained(module_name: str) -> None:
    unsaid: list[str] = []
    for name, kind in exported(module_name):
        if not inspect.isclass(kind):
            continue
        text = " ".join(inspect.getdoc(base) or "" for base in kind.__mro__)
        fields = kind.__annotations__ if dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__") else {}
        numbers = [field for field, of in fields.items() if re.search(r"\b(int|float)\b", str(of)) and field[0] != "_"]
        unsaid += [f"{name}.{field}" for field in numbers if not names_it(text, field)]
    assert unsaid == []


@pytest.mark.parametrize("module_name", PUBLIC)
def test_errors_that_a_function_raises_are_named(module_name: str) -> None:
    unsaid: list[str] = []
    for name, function, _ in functions_of(module_name):
        text = inspect.getdoc(function) or ""
        unsaid += [f"{name}: {error}" for error in errors_raised(function) if not names_it(text, error)]
    assert unsaid == []
