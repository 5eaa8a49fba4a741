"""Characters that turn up in training and are not in the character set: shown as empty, or added to the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from retro_gamer.errors import printable, quoted
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.learner import Learner
from retro_gamer.run.events import CharacterSet, EventSink, Remark


class UnknownCharacters:
    """Counts them, tells of each once, and lets the network grow if `unknown_character_strategy` says so."""

    def __init__(self, learner: Learner, sink: EventSink, settings: Hyperparameters) -> None:
        self._learner = learner
        self._sink = sink
        self._grows = settings.unknown_character_strategy == "extend"
        self._met: Counter[str] = Counter()

    def meet(self, unknown: Mapping[str, int]) -> None:
        """Take the characters of one report, with the number of cells that each was on."""
        new = sorted(set(unknown) - set(self._met) - set(self._learner.characters))
        self._met.update(unknown)
        if new and self._grows:
            self._extend(new)
            return
        for character in new:
            self._note(
                f"The character {quoted(character)} is not in character_set and is shown as an empty cell. To let the "
                'agent see it, add it to character_set, or set unknown_character_strategy = "extend".'
            )

    def conclude(self) -> None:
        """Say which were never seen by the agent."""
        unseen = {c: count for c, count in self._met.items() if c not in self._learner.characters}
        if unseen:
            counts = ", ".join(f"{quoted(c)} on {count} cells" for c, count in sorted(unseen.items()))
            self._note(f"Characters outside character_set met in training, shown as empty: {counts}.")

    def _extend(self, new: list[str]) -> None:
        room = LARGEST_CHARACTER_COUNT - len(self._learner.characters)
        if room < len(new):
            self._note(f"The character set is full ({LARGEST_CHARACTER_COUNT}); {len(new) - room} more stay unseen.")
        added = tuple(new[:room])
        if not added:
            return
        self._learner.extend(self._learner.characters + added)
        self._sink.handle(CharacterSet(self._learner.characters))
        self._note(f"The network grew for {', '.join(map(quoted, added))}; nothing learned so far was changed.")

    def _note(self, text: str) -> None:
        self._sink.handle(Remark(printable(text)))
