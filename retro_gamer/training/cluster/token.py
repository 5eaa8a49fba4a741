"""The token of a cluster, from where Ray keeps it. It is sent to the cluster and shown nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from retro_gamer.errors import UsageError, printable


def find_token() -> str | None:
    """Return the token of RAY_AUTH_TOKEN, of the file RAY_AUTH_TOKEN_PATH or of ~/.ray/auth_token, None without one.

    Raises:
        UsageError: if a file that is named cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if token:
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        if named:
            raise UsageError(printable(f"RAY_AUTH_TOKEN_PATH names {named}, which does not exist")) from None
        return None
    except OSError as error:
        raise UsageError(printable(f"the token in {path} cannot be read: {error.strerror}")) from error
