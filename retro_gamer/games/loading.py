"""Loading a game: from where it is to the function that builds it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from retro.game import Game

from retro_gamer.errors import GameFailedError, GameNotFoundError, RetroGamerError, printable
from retro_gamer.games.failures import describe_failure, failure_place
from retro_gamer.games.folders import FACTORY_NAME
from retro_gamer.games.hanging import HungGameError
from retro_gamer.games.importing import PRIVATE_PACKAGE, ModuleSpace, folders_of
from retro_gamer.games.interception import interception
from retro_gamer.games.source import GameSource, find_source

__all__ = ["GameSource", "describe_failure", "find_source", "load_factory", "refusing_play"]

_PLAYING_NAMES = ("main", "play", "run", "start", "start_game")


class _PlayedError(BaseException):
    """Raised out of ``Game.play()``; not an Exception, so that a game's own handlers let it pass."""


def load_factory(source: GameSource) -> Callable[[], Game]:
    """Return the function that builds a new game, from a fresh copy of the game's modules.

    Raises:
        GameFailedError: if its module raises, exits or starts playing while it is imported.
        GameNotFoundError: if the module or the function is missing.
    """
    module_name, _, attribute = (source.factory or f"{source.module}:{FACTORY_NAME}").partition(":")
    module = _import_module(source, module_name)
    factory: Any = module
    for name in attribute.split("."):
        factory = getattr(factory, name, None)
    if not callable(factory):
        raise GameNotFoundError(_explain_no_factory(source, module, module_name, attribute))
    return factory


@contextlib.contextmanager
def refusing_play() -> Iterator[None]:
    """Make ``Game.play()`` fail instead of taking over the terminal.

    Raises:
        GameFailedError: if the game was played within.
    """
    play = Game.play
    Game.play = _refuse_to_play
    try:
        yield
    except _PlayedError as error:
        raise GameFailedError(
            f"{failure_place(error)}the game is played where it should only be built. "
            f"Put what builds it into a function {FACTORY_NAME}() that ends with `return game`, and call "
            'game.play() under `if __name__ == "__main__":`.'
        ) from None
    finally:
        Game.play = play


def _refuse_to_play(game: Game, *_: object, **__: object) -> None:
    raise _PlayedError


def _import_module(source: GameSource, name: str) -> ModuleType:
    space = None
    if source.search_path is not None:
        space = ModuleSpace(folders_of(source.search_path, source.path))
    try:
        interception.enter()
        with refusing_play():
            if space is not None and space.holds(name):
                return space.load(name)
            return importlib.import_module(name)
    except (Exception, SystemExit, HungGameError) as error:
        if space is not None:
            space.unload()
        raise _explain_failed_import(source, name, error) from None
    finally:
        interception.exit()


def _explain_failed_import(source: GameSource, name: str, error: BaseException) -> RetroGamerError:
    if isinstance(error, GameFailedError):
        return GameFailedError(f"{source.label} cannot be loaded: {error}")
    if isinstance(error, ModuleNotFoundError) and PRIVATE_PACKAGE.sub("", str(error.name)) == name:
        return GameNotFoundError(_explain_no_module(source, name))
    return GameFailedError(f"{source.label} fails when it is imported: {describe_failure(error, source)}")


def _explain_no_module(source: GameSource, name: str) -> str:
    if source.factory:
        return f'factory = "{source.factory}" of {source.label}: there is no module {name}'
    where = f" in {printable(source.search_path)}" if source.search_path else ""
    return f"there is no module {name}{where}"


def _explain_no_factory(source: GameSource, module: ModuleType, module_name: str, attribute: str) -> str:
    holds = f"{source.label} ({module_name})" if source.path else module_name
    if source.factory:
        return f'factory = "{source.factory}": {holds} has no function {attribute}'
    found = [name for name in _PLAYING_NAMES if callable(getattr(module, name, None))]
    says = f" It has {', '.join(f'{name}()' for name in found)}, which may build the game." if found else ""
    return (
        f"{holds} has no function {FACTORY_NAME}().{says}\n"
        f"Put what builds the game into a function {FACTORY_NAME}() that ends with `return game`, or, if a function "
        f'that returns the Game has another name, write factory = "{module_name}:NAME" into [tool.retro-gamer].'
    )
