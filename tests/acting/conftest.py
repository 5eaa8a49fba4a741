"""Actors draw from torch's generator as learners do."""

from __future__ import annotations

from tests.learning.conftest import _seeded_torch  # noqa: F401
