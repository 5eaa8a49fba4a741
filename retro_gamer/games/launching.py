"""Building games from code that was written to be played: by its factory, or by catching the Game it would play."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from retro.game import Game

from retro_gamer.games.folders import FACTORY_NAME
from retro_gamer.games.importing import ModuleSpace, folders_of
from retro_gamer.games.interception import interception
from retro_gamer.games.scratch import Scratch, scratch_for
from retro_gamer.games.source import FRAMEWORK, GameSource
from retro_gamer.games.stage import Stage

PLAYING_NAMES = ("main", "play", "run", "start", "start_game", "play_game", "run_game", "new_game", "make_game", "game")
_MAIN_MODULE = "__main__"


class NothingToPlayError(Exception):
    """A game's code was run and tried in every way, and no Game came of it."""


class Launcher:
    """Builds the games of one source, a new one at each call.

    A module with a factory is loaded once, and the factory called for each game. Any other is run anew for each game,
    all its modules with it (compiled only once), and the Game that it sets out to play is taken: so nothing that one
    game leaves in the variables of its modules reaches the next. `how` says in words how games begin.

    Raises:
        GameFailedError: if the game's code raises, exits or asks without end.
        NothingToPlayError: if there is neither a factory nor anything that plays or makes a Game.
    """

    def __init__(self, source: GameSource) -> None:
        self.source = source
        scratch = _scratch_of(source)
        self.stage = Stage(source.path or source.module, source.answers, scratch)
        self._space: ModuleSpace | None = None
        if source.search_path is not None:
            locate = None if scratch is None else scratch.mirrored
            self._space = ModuleSpace(folders_of(source.search_path, source.path), locate)
        self._module_name, _, self._attribute = (source.factory or f"{source.module}:{FACTORY_NAME}").partition(":")
        self.how = ""
        self._make: Callable[[], Any] = self._run_script
        try:
            self._choose_way()
        except BaseException:
            self.unload()
            raise

    def __call__(self) -> Any:
        """Return a new Game, or whatever the game's code returns where one should be.

        Raises:
            whatever the game's code raises before it plays.
        """
        return self._attempt(self._make)

    @property
    def is_isolated(self) -> bool:
        """Whether the game's modules are this launcher's own: an installed game's are shared by all in the process."""
        return self._space is not None or self.source.module.partition(".")[0] == FRAMEWORK

    def unload(self) -> None:
        """Forget the game's modules."""
        if self._space is not None:
            self._space.unload()

    def _choose_way(self) -> None:
        module = self._attempt(self._import)
        game = module if isinstance(module, Game) else None
        if game is not None and self._space is not None:
            module = self._space.partial(self._module_name)  # as far as it got
        factory = _find(module, self._attribute)
        if self.source.factory is not None or _is_callable_without_arguments(factory):
            if not callable(factory):
                raise NothingToPlayError
            self._make, self.how = factory, f"{self._attribute}()"
            return
        script = self._find_script(module)
        if game is None:
            game = self._attempt(self._run_script)
        if isinstance(game, Game):
            self.how = f"running {script}"
            return
        for name in (*PLAYING_NAMES, *_names_of_games(module)):
            if _is_callable_without_arguments(getattr(module, name, None)):
                self._make, self.how = self._caller_of(name), f"{name}()"
                if isinstance(self(), Game):
                    return
        raise NothingToPlayError

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """Run code of the game; return the Game that it sets out to play, or what it comes to if it plays none."""
        self.stage.begin_building()
        interception.enter()
        self.stage.enter()
        try:
            return interception.catch(call)
        finally:
            self.stage.exit()
            interception.exit()
            self.stage.end_building()

    def _import(self) -> ModuleType:
        name = self._module_name
        if self._space is not None and self._space.holds(name):
            return self._space.load(name)
        return importlib.import_module(name)

    def _find_script(self, module: Any) -> str:
        """Settle which module to run: a package's ``__main__`` where it has one, as ``python -m`` does."""
        if getattr(module, "__path__", None) is not None:
            name = f"{self._module_name}.{_MAIN_MODULE}"
            full = f"{self._space.name}.{name}" if self._space is not None else name
            if importlib.util.find_spec(full) is not None:
                self._module_name = name
        return self._module_name.replace(".", "/") + ".py"

    def _run_script(self) -> Any:
        if self._space is not None:
            self._space = self._space.renewed()
            module = self._space.run(self._module_name)
        else:
            module = _run_installed(self._module_name)
        games = [value for value in vars(module).values() if isinstance(value, Game)]
        return games[0] if len(games) == 1 else None

    def _caller_of(self, name: str) -> Callable[[], Any]:
        def call() -> Any:
            if self._space is not None:
                self._space = self._space.renewed()
            return getattr(self._import(), name)()

        return call


def _scratch_of(source: GameSource) -> Scratch | None:
    """Return where the game may write; the framework's own examples write nothing."""
    if source.search_path is None and source.module.partition(".")[0] == FRAMEWORK:
        return None
    return scratch_for(source.folder if source.path is not None or source.search_path is None else source.search_path)


def _run_installed(name: str) -> ModuleType:
    """Run an installed module anew as ``python -m`` does; what it imports is shared with everybody."""
    spec = importlib.util.find_spec(name)
    code: Any = spec.loader.get_code(name) if spec is not None and spec.loader is not None else None  # type: ignore[attr-defined]
    module = ModuleType(_MAIN_MODULE)
    if spec is None or code is None:
        return module
    module.__dict__.update(__spec__=spec, __file__=spec.origin, __package__=spec.parent)
    sys.modules[_MAIN_MODULE] = module
    exec(code, module.__dict__)
    return module


def _find(module: Any, attribute: str) -> Any:
    found = module
    for name in attribute.split("."):
        found = getattr(found, name, None)
    return found


def _names_of_games(module: Any) -> list[str]:
    """Return the classes of a module that are Games and were written there."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Game) and value is not Game
    ]


def _is_callable_without_arguments(function: Any) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # it has none to be seen
        return True
    return True
