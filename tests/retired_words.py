"""Words that this project no longer uses, with what replaced them: docs/architecture.md holds the glossary.

A word is found in names (`SeenBatch`, `seen_batch`) and in prose ("a seen batch"), by `find_retired`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

RETIRED: dict[str, str] = {
    "arrange": "extract",
    "attachment": "following",
    "board network": "BoardCNN",
    "evaluator": "inference network",
    "forgiven": "retried",
    "halves": "forward",
    "house": "package",
    "intercept": "capture",
    "interception": "capture",
    "keeper": "checkpointing",
    "last words": "crash report",
    "launching": "launcher",
    "let it be": "leave it unchanged",
    "listening": "key scan",
    "mailbox": "event queue",
    "meeting": "validation",
    "misfit": "compatibility",
    "newcomer": "unknown character",
    "patient": "retrying",
    "scratch": "temporary folder",
    "seen batch": "feature batch",
    "so long as": "while",
    "stage": "sandbox",
    "stand in stream": "scripted input",
    "starvation": "leak guard or cpu load",
    "suggestion": "proposal",
    "survey": "per-character statistics",
    "worn out": "recycled",
}
ALLOWED: dict[str, tuple[str, ...]] = {}
"""Files in which a word is plain English in another sense."""


def words_of(text: str) -> str:
    """Return the words of names and prose in lower case, each between single spaces."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return f" {' '.join(re.findall(r'[a-z]+', spaced.lower()))} "


def find_retired(text: str, file: str, retired: Mapping[str, str] = RETIRED) -> Iterator[str]:
    """Yield a line for each retired word in `text`, singular or plural, that is not allowed in `file`."""
    words = words_of(text)
    for word, now in retired.items():
        found = sum(words.count(f" {word}{ending} ") for ending in ("", "s", "es"))
        if found and file not in ALLOWED.get(word, ()):
            yield f"{file} says {word!r} {found} times; the word now is {now!r}"
