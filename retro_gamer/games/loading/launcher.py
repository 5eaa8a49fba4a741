"""Build games from code written to be played: call its factory, or capture the Game that it would play."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from retro.agent import Agent, ArrowKeyAgent, CenterViewAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError, GameNotFoundError, RetroGamerError, printable
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.find import FACTORY_NAME, FRAMEWORK, GameSource, file_of_module
from retro_gamer.games.loading.importing import PRIVATE_PACKAGE, ModuleSpace, folders_of
from retro_gamer.games.loading.sandbox import NullSandbox, Sandbox, temporary_folder_of
from retro_gamer.games.loading.watchdog import HungGameError

PLAYING_NAMES = ("main", "play", "run", "start", "start_game", "play_game", "run_game", "new_game", "make_game", "game")
_MAIN_MODULE = "__main__"
_FRAMEWORK_IMPORT = f"import {FRAMEWORK}"
_IMPORTED = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w[\w.]*)", re.MULTILINE)
_NAMES_FRAMEWORK = re.compile(
    rf"^[ \t]*(?:from|import)[ \t]+{FRAMEWORK}\b|import_module|__import__|exec\(|runpy", re.MULTILINE
)
"""Code that imports the framework, or may do so by other means."""


class NothingToPlayError(Exception):
    """A game's code was run in every way, but built no Game."""


class FunctionFactory:
    """Builds games by a function of the user's process, with the attributes of a `Launcher`."""

    sharing = None

    def __init__(self, function: Callable[[], Any]) -> None:
        self.sandbox = NullSandbox()
        self.label = getattr(function, "__name__", "the game")
        self._function = function

    def __call__(self) -> Any:
        """Return what the function returns, or the Game that it would play."""
        return self.sandbox.build(self._function)


def as_factory(function: Callable[[], Any]) -> Launcher | FunctionFactory:
    """Return a `Launcher` as it is, any other function with a null sandbox."""
    return function if isinstance(function, Launcher) else FunctionFactory(function)


class Launcher:
    """Builds the games of one source, a new one at each call.

    A module with a factory is loaded once, and the factory called for each game. Any other module is run for each game,
    with all its modules (compiled once), and the Game that it would play is captured. So nothing that a game leaves in
    the variables of its modules reaches the next one. `how` describes how games start.

    Raises:
        GameFailedError: if the game's code raises, exits or asks without end.
        NothingToPlayError: if there is neither a factory nor anything that plays or makes a Game.
    """

    def __init__(self, source: GameSource) -> None:
        self.source = source
        folder = temporary_folder_of(source)
        self.sandbox = Sandbox(source.path or source.module, source.answers, folder)
        self._space: ModuleSpace | None = None
        if source.search_path is not None:
            locate = None if folder is None else folder.copy_of
            self._space = ModuleSpace(folders_of(source.search_path, source.path), locate)
        self._module_name, _, self._attribute = (source.factory or f"{source.module}:{FACTORY_NAME}").partition(":")
        self.how = ""
        self._make: Callable[[], Any] = self._run_script
        self._script_error: Exception | None = None
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
        return self.sandbox.build(self._make)

    @property
    def modules(self) -> list[ModuleType]:
        """The game's modules that have been loaded."""
        if self._space is not None:
            return self._space.modules
        top = self._module_name.rpartition(".")[0] if self._module_name.endswith(_MAIN_MODULE) else self._module_name
        return [m for name, m in list(sys.modules.items()) if f"{name}.".startswith(f"{top}.")]

    @property
    def label(self) -> str:
        """The game's name in messages."""
        return self.source.label

    @property
    def sharing(self) -> str | None:
        """Why another game in the same process would share state with this one, None if it would not."""
        if self._space is None and self.source.module.partition(".")[0] != FRAMEWORK:
            return "it is an installed module, which a process loads only once"
        changed = find_framework_changes()
        if changed:
            return f"it changes the framework itself ({', '.join(changed[:3])})"
        return None

    def unload(self) -> None:
        """Remove the game's modules from Python's table."""
        if self._space is not None:
            self._space.unload()

    def _choose_way(self) -> None:
        try:
            module = self.sandbox.build(self._import)
        except Exception:
            # It may work only when run as a program.
            if self.source.factory is not None or not isinstance(self._try_script(), Game):
                raise
            self.how = f"running {self._find_script(None)}"
            return
        game = module if isinstance(module, Game) else None
        if game is not None and self._space is not None:
            module = self._space.partial(self._module_name)  # as far as it was run
        factory = _find(module, self._attribute)
        if self.source.factory is not None or _is_callable_without_arguments(factory):
            if not callable(factory):
                raise NothingToPlayError
            self._make, self.how = factory, f"{self._attribute}()"
            return
        if game is None and self._try_scripts():
            return
        script = self._find_script(module)
        if game is None:
            game = self.sandbox.build(self._run_script)
        if isinstance(game, Game):
            self.how = f"running {script}"
            return
        self._try_functions(module)

    def _try_scripts(self) -> bool:
        """Start the game by the functions that its project starts as programs; return whether one builds a Game."""
        for script in self.source.scripts:
            name, _, attribute = script.partition(":")
            self._make, self.how = self._caller_of(attribute, name), f"{attribute}() of [project.scripts]"
            try:
                if isinstance(self(), Game):
                    return True
            except Exception as error:
                self._script_error = self._script_error or error
        self._make = self._run_script
        return False

    def _try_functions(self, module: Any) -> None:
        for name in (*PLAYING_NAMES, *_names_of_games(module)):
            if _is_callable_without_arguments(getattr(module, name, None)):
                self._make, self.how = self._caller_of(name), f"{name}()"
                if isinstance(self(), Game):
                    return
        raise self._script_error or NothingToPlayError

    def _try_script(self) -> Any:
        try:
            return self.sandbox.build(self._run_script)
        except Exception:
            return None  # the first error is the one to report

    def _import(self, name: str | None = None) -> ModuleType:
        name = name or self._module_name
        if self._space is not None and self._space.contains(name):
            return self._space.load(name)
        return importlib.import_module(name)

    def _find_script(self, module: Any) -> str:
        """Set the module to run (a package's ``__main__`` if any, as ``python -m`` does); return its file name."""
        places = getattr(module, "__path__", None)
        if places is not None:
            if not any((Path(place) / f"{_MAIN_MODULE}.py").is_file() for place in places):
                return f"{self._module_name.replace('.', '/')}/__init__.py"
            self._module_name = f"{self._module_name}.{_MAIN_MODULE}"
        return self._module_name.replace(".", "/") + ".py"

    def _run_script(self) -> Any:
        if self._space is not None:
            self._space = self._space.renewed()
            module = self._space.run(self._module_name)
        else:
            module = _run_installed(self._module_name)
        games = [value for value in vars(module).values() if isinstance(value, Game)]
        return games[0] if len(games) == 1 else None

    def _caller_of(self, attribute: str, module: str | None = None) -> Callable[[], Any]:
        def call() -> Any:
            if self._space is not None:
                self._space = self._space.renewed()
            return _find(self._import(module), attribute)()

        return call


def find_framework_changes() -> list[str]:
    """Return the attributes of the framework's classes that have changed since this module was imported."""
    now = _framework_attributes()
    names = sorted({*now, *_ORIGINAL_ATTRIBUTES})
    return [name for name in names if now.get(name) is not _ORIGINAL_ATTRIBUTES.get(name)]


def _framework_attributes() -> dict[str, Any]:
    kinds = (Game, Agent, ArrowKeyAgent, CenterViewAgent)
    return {
        f"{kind.__name__}.{name}": value
        for kind in kinds
        for name, value in vars(kind).items()
        if not (name.startswith("__") and name.endswith("__"))
    }


_ORIGINAL_ATTRIBUTES = _framework_attributes()


def _run_installed(name: str) -> ModuleType:
    """Run an installed module again, as ``python -m`` does. The modules that it imports are shared by all games."""
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
    """Return the names of the module's subclasses of Game."""
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
    except ValueError:  # a builtin without a signature
        return True
    return True


def load_factory(source: GameSource) -> Launcher:
    """Return a launcher with its own copy of the game's modules.

    Raises:
        GameFailedError: if its code raises, exits or asks without end before it builds a Game.
        GameNotFoundError: if the module is missing, or nothing in it builds a Game or plays one.
    """
    try:
        return Launcher(source)
    except NothingToPlayError:
        _refuse_other_program(source)
        raise GameNotFoundError(_explain_no_factory(source)) from None
    except (Exception, SystemExit, HungGameError) as error:
        if isinstance(error, GameFailedError):
            _refuse_other_program(source)
        raise _explain_failed_import(source, error) from None


def _refuse_other_program(source: GameSource) -> None:
    """Raise GameNotFoundError if no file of the program imports the framework."""
    if source.factory is None and not any(_NAMES_FRAMEWORK.search(text) for text in _texts_of_program(source)):
        raise GameNotFoundError(
            f"{source.label} is no retro-games game: none of its files imports {FRAMEWORK}. retro-gamer trains "
            f"games that are built with {FRAMEWORK}.game.Game."
        ) from None


def _texts_of_program(source: GameSource) -> Iterator[str]:
    """Yield the code of a program's main file and of those that it imports, of a package that of all its files."""
    if source.search_path is None:
        yield _FRAMEWORK_IMPORT  # an installed module is not read
        return
    folder = Path(source.search_path)
    top = folder / source.module.partition(".")[0]
    waiting = [file_of_module(folder, source.module), *(top.rglob("*.py") if (top / "__init__.py").is_file() else ())]
    visited: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in visited or not path.is_file():
            continue
        visited.add(path)
        text = path.read_text(errors="replace")
        yield text
        waiting += [file_of_module(folder, name) for name in _IMPORTED.findall(text)]


def _explain_failed_import(source: GameSource, error: BaseException) -> RetroGamerError:
    name = (source.factory or source.module).partition(":")[0]
    if isinstance(error, GameFailedError):
        return GameFailedError(f"{source.label} cannot be loaded: {error}")
    if isinstance(error, ModuleNotFoundError) and PRIVATE_PACKAGE.sub("", str(error.name)) == name:
        return GameNotFoundError(_explain_no_module(source, name))
    return GameFailedError(f"{source.label} fails when it is started: {describe_failure(error, source.search_path)}")


def _explain_no_module(source: GameSource, name: str) -> str:
    if source.factory:
        return f'factory = "{source.factory}" of {source.label}: there is no module {name}'
    where = f" in {printable(source.search_path)}" if source.search_path else ""
    return f"there is no module {name}{where}"


def _explain_no_factory(source: GameSource) -> str:
    module, _, attribute = (source.factory or f"{source.module}:{FACTORY_NAME}").partition(":")
    place = f"{source.label} ({module})" if source.path else module
    if source.factory:
        return f'factory = "{source.factory}": {place} has no function {attribute}'
    tried = ", ".join(f"{name}()" for name in PLAYING_NAMES[:4])
    return (
        f"{place} has no function {FACTORY_NAME}(), plays no game when it is run, and none of {tried} and similar "
        f"functions builds or plays one.\nPut the code that builds the game into a function {FACTORY_NAME}() that ends "
        f'with `return game`. If such a function has another name, add factory = "{module}:NAME" to '
        "[tool.retro-gamer] in pyproject.toml."
    )
