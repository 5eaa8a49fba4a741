"""Words that this project no longer uses, with what replaced them: docs/architecture.md holds the glossary.

A word is found in names (`SeenBatch`, `seen_batch`) and in prose ("a seen batch"), by `find_retired`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

RETIRED: dict[str, str] = {
    "arrange": "extract",
    "attachment": "following",
    "Attachment": "Follower",
    "be told": "receive",
    "BoardNetwork": "BoardCNN",
    "DirectoryWriter": "RunWriter",
    "evaluator": "inference network",
    "fault": "failure",
    "figure": "progress, metric or number",
    "forgiven": "retried",
    "goes on with": "resumes",
    "halves": "forward",
    "HangWatch": "Watchdog",
    "house": "package",
    "intercept": "capture",
    "interception": "capture",
    "is told": "receives",
    "keeper": "checkpointing",
    "keeping": "checkpointing",
    "last words": "crash report",
    "launching": "launcher",
    "LearnerRecorder": "Checkpointing",
    "leftovers": "temporary folders",
    "let it be": "leave it unchanged",
    "listening": "key scan",
    "ListNetwork": "FlatMLP",
    "looked at": "observed, read or checked",
    "looked up": "read or searched",
    "Looked": "Features",
    "mailbox": "event queue",
    "MailedWriter": "EventQueue",
    "meeting": "validation",
    "mend": "fix",
    "mended": "fixed",
    "misfit": "compatibility",
    "newcomer": "unknown character",
    "Nowhere": "DiscardedOutput",
    "patience": "retrying",
    "patient": "retrying",
    "PatientWriter": "RunWriter",
    "PlayerNetwork": "EgocentricCNN",
    "recorder": "checkpointing or run writer",
    "scene": "convolutional trunk",
    "scratch": "temporary folder",
    "seen": "features or observed",
    "SeenBatch": "FeatureBatch",
    "sitting": "session of training",
    "so long": "for a time, named",
    "stage": "sandbox",
    "stands": "is",
    "starvation": "leak guard or cpu load",
    "suggestion": "proposal",
    "survey": "per-character statistics",
    "told": "reported",
    "worn out": "recycled",
}
"""A word with a capital letter is retired as exactly that name."""
ALLOWED: dict[str, tuple[str, ...]] = {
    # Keys of `evaluate --json`, and the operating system's own word: "segmentation fault".
    "fault": (
        "docs/reliability.md",
        "retro_gamer/backends/ray/actor_process.py",
        "retro_gamer/cli/commands/evaluate.py",
        "retro_gamer/evaluation/statistics.py",
    ),
    # A key of the records of earlier measurements.
    "figure": ("benchmarks/learning/parts.py", "benchmarks/learning/tables.py"),
    # Names of weights in checkpoints, which old runs must find again; in the reference, the spec's own word.
    "scene": (
        "benchmarks/performance/strided.py",
        "docs/reference.md",
        "retro_gamer/learning/networks/whole_board.py",
    ),
}
"""Files in which a word is right, and why."""


def words_of(text: str) -> str:
    """Return the words of names and prose in lower case, each between single spaces."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return f" {' '.join(re.findall(r'[a-z]+', spaced.lower()))} "


def find_retired(text: str, file: str, retired: Mapping[str, str] = RETIRED) -> Iterator[str]:
    """Yield a line for each retired word in `text`, singular or plural, that is not allowed in `file`."""
    words = words_of(text)
    for word, now in retired.items():
        if word != word.lower():
            found = len(re.findall(rf"\b{word}\b", text))
        else:
            found = sum(words.count(f" {word}{ending} ") for ending in ("", "s", "es"))
        if found and file not in ALLOWED.get(word, ()):
            yield f"{file} says {word!r} {found} times; the word now is {now!r}"
