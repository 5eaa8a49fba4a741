"""Loading a game: from where it is to the function that builds it."""

from __future__ import annotations

from retro_gamer.errors import GameFailedError, GameNotFoundError, RetroGamerError, printable
from retro_gamer.games.folders import FACTORY_NAME
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.find import GameSource, find_source
from retro_gamer.games.loading.importing import PRIVATE_PACKAGE
from retro_gamer.games.loading.launcher import PLAYING_NAMES, Launcher, NothingToPlayError
from retro_gamer.games.loading.watchdog import HungGameError

__all__ = ["GameSource", "Launcher", "describe_failure", "find_source", "load_factory"]


def load_factory(source: GameSource) -> Launcher:
    """Return what builds a new game at each call, from a copy of the game's modules that is its own.

    Raises:
        GameFailedError: if its code raises, exits or asks without end before there is a Game.
        GameNotFoundError: if the module is missing, or nothing in it makes a Game or plays one.
    """
    try:
        return Launcher(source)
    except NothingToPlayError:
        raise GameNotFoundError(_explain_no_factory(source)) from None
    except (Exception, SystemExit, HungGameError) as error:
        raise _explain_failed_import(source, error) from None


def _explain_failed_import(source: GameSource, error: BaseException) -> RetroGamerError:
    name = (source.factory or source.module).partition(":")[0]
    if isinstance(error, GameFailedError):
        return GameFailedError(f"{source.label} cannot be loaded: {error}")
    if isinstance(error, ModuleNotFoundError) and PRIVATE_PACKAGE.sub("", str(error.name)) == name:
        return GameNotFoundError(_explain_no_module(source, name))
    return GameFailedError(f"{source.label} fails when it is started: {describe_failure(error, source)}")


def _explain_no_module(source: GameSource, name: str) -> str:
    if source.factory:
        return f'factory = "{source.factory}" of {source.label}: there is no module {name}'
    where = f" in {printable(source.search_path)}" if source.search_path else ""
    return f"there is no module {name}{where}"


def _explain_no_factory(source: GameSource) -> str:
    module, _, attribute = (source.factory or f"{source.module}:{FACTORY_NAME}").partition(":")
    holds = f"{source.label} ({module})" if source.path else module
    if source.factory:
        return f'factory = "{source.factory}": {holds} has no function {attribute}'
    tried = ", ".join(f"{name}()" for name in PLAYING_NAMES[:4])
    return (
        f"{holds} has no function {FACTORY_NAME}(), plays no game when it is run, and none of {tried} and the like "
        f"makes or plays one.\nPut what builds the game into a function {FACTORY_NAME}() that ends with `return "
        f'game`, or, if a function that returns the Game has another name, write factory = "{module}:NAME" into '
        "[tool.retro-gamer]."
    )
