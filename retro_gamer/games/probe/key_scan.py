"""Find the keys that a game's code handles in the constants of its compiled code. Nothing is run."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Collection, Iterable, Iterator
from importlib.abc import InspectLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from retro_gamer.games.loading.find import FRAMEWORK
from retro_gamer.games.loading.keys import ARROWS, key_codes
from retro_gamer.games.observation import handles_keys

_HANDLERS = ("handle_keystroke", "keys_pressed", "keystroke", "key")
_ROWS = (set("wasdqezx"), set("hjklyubn"), set("ijkl"), set("0123456789"))
"""A string of letters from one of these sets counts as a list of keys."""
_NO_KEYS = ("character", "name", "color")
_COMPARING = ("COMPARE_OP", "CONTAINS_OP", "BUILD_CONST_KEY_MAP", "BUILD_MAP")
"""Instructions that follow a constant which is compared, or is a key of a table."""


def find_keys(modules: Iterable[ModuleType], agents: Collection[Any]) -> tuple[str, ...]:
    """Return the keys that the game's modules and the handlers of its agents name, the arrows first.

    The name of a special key counts anywhere. A character counts only in code that handles keystrokes, or in a table
    with the name of a special key. There a list of letters (``in "wasd"``) counts letter by letter.
    """
    found: dict[str, None] = {}
    for code in _codes_of(modules, agents):
        is_function = bool(code.co_flags & inspect.CO_OPTIMIZED)  # the bodies of classes and modules are code, too
        handles = is_function and any(n in _HANDLERS for n in (code.co_name, *code.co_names, *code.co_varnames))
        texts = list(_texts_in(code.co_consts))
        special = [text for text in texts if text in key_codes()]
        found.update(dict.fromkeys(special))
        if handles or special:
            found.update(dict.fromkeys(text for text in texts if len(text) == 1 and text.isprintable()))
        if handles:
            rows = [text for text in texts if len(text) > 1 and any(set(text) <= row for row in _ROWS)]
            found.update(dict.fromkeys(key for row in rows for key in row))
    found.update(dict.fromkeys(_keys_held(agents)))
    return tuple(sorted(found, key=lambda key: (key not in ARROWS, not key.startswith("KEY_"))))


def find_certain_keys(modules: Iterable[ModuleType], agents: Collection[Any]) -> tuple[str, ...]:
    """Return those that are keys beyond doubt: special ones, and characters that are compared or held by an agent.

    What only the framework's own handlers name is left out: a game may ignore some of the arrows.
    """
    own = [agent for agent in agents if not _handler_module(agent).startswith(f"{FRAMEWORK}.")]
    certain = set(_keys_held(agents))
    for code in _codes_of(modules, own):
        certain.update(text for text in _texts_in(code.co_consts) if text in key_codes())
        instructions = list(dis.get_instructions(code))
        for number, instruction in enumerate(instructions):
            if any(later.opname in _COMPARING for later in instructions[number + 1 : number + 3]):
                certain.update(key for text in _texts_in([instruction.argval]) for key in text)
    return tuple(key for key in find_keys(modules, agents) if key in certain)


def _handler_module(agent: Any) -> str:
    return str(getattr(getattr(type(agent), "handle_keystroke", None), "__module__", ""))


def _codes_of(modules: Iterable[ModuleType], agents: Iterable[Any]) -> Iterator[CodeType]:
    waiting = [code for module in modules if (code := _code_of(module)) is not None]
    for kind in {type(agent) for agent in agents}:
        handler = getattr(kind, "handle_keystroke", None)
        if isinstance(handler, FunctionType):
            waiting.append(handler.__code__)
    visited: set[CodeType] = set()
    while waiting:
        code = waiting.pop()
        if code not in visited:
            visited.add(code)
            yield code
            waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _code_of(module: ModuleType) -> CodeType | None:
    spec = module.__spec__
    if spec is None or not isinstance(spec.loader, InspectLoader):
        return None
    try:
        return spec.loader.get_code(spec.name)
    except (ImportError, SyntaxError, OSError):  # it has no code, or its file has changed since it was loaded
        return None


def _keys_held(agents: Iterable[Any]) -> list[str]:
    """Return the keys in the attributes of agents, such as players with keys of their own."""
    return [
        value
        for agent in agents
        if handles_keys(type(agent))
        for name, value in getattr(agent, "__dict__", {}).items()
        if isinstance(value, str) and name not in _NO_KEYS and (len(value) == 1 or value in key_codes())
    ]


def _texts_in(constants: Iterable[Any]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, (tuple, frozenset)):
            yield from _texts_in(sorted(constant, key=str))
