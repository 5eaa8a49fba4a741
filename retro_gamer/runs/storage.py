"""Files kept outside the run directory: in a shared folder or an object store, by any URI that fsspec knows."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Any
from urllib.parse import urlsplit

from retro_gamer.errors import ClusterError, UsageError, printable
from retro_gamer.runs.atomic import TEMPORARY

EXTRA_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Storage:
    """A folder of a file system. Writing replaces a file whole: a reader sees the old or the new one."""

    def __init__(self, uri: str) -> None:
        """Find the file system of `uri` (``s3://bucket/runs/snake``, ``file:///mnt/runs``, ``/mnt/runs``).

        Raises:
            UsageError: if no such kind of storage is known or installed.
        """
        import fsspec

        self.label = hide_secrets(uri)
        try:
            self._files, self._root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:
            scheme = urlsplit(uri).scheme
            package = EXTRA_PACKAGES.get(scheme)
            remedy = f"install it: pip install {package}" if package else "try s3://BUCKET/PATH or a folder"
            raise UsageError(f"--storage {self.label}: {printable(str(error))}; {remedy}") from error
        self._is_local = "file" in self._protocols()
        if self._is_local:
            self._root = os.path.abspath(self._root)

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def read(self, name: str) -> bytes | None:
        """Return the content of the file `name`, None if there is none.

        Raises:
            ClusterError: if the storage cannot be read.
        """
        try:
            self._files.invalidate_cache()
            return bytes(self._files.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has errors of its own
            raise self._explain(error) from error

    def write(self, name: str, data: bytes) -> None:
        """Keep `data` as the file `name`.

        Raises:
            ClusterError: if it could not be kept.
        """
        path = f"{self._root}/{name}"
        try:
            if not self._is_local:
                self._files.pipe_file(path, data)  # objects appear whole
                return
            self._files.makedirs(os.path.dirname(path), exist_ok=True)
            temporary = f"{os.path.dirname(path)}/{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
            try:
                self._files.pipe_file(temporary, data)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
        except Exception as error:
            raise self._explain(error) from error

    def remove(self, name: str) -> None:
        """Remove the file `name`, if it is there.

        Raises:
            ClusterError: if it is, and stays.
        """
        try:
            self._files.rm_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> ClusterError:
        text: Any = error.strerror if isinstance(error, OSError) and error.strerror else error
        reason = printable(str(text).splitlines()[0][:300] if str(text) else type(error).__name__)
        if isinstance(error, PermissionError):
            return ClusterError(
                f"the storage {self.label} denies access ({reason}). The machine that trains needs the right to read, "
                "write and delete there: for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a role of the node."
            )
        return ClusterError(f"the storage {self.label} fails: {type(error).__name__}: {reason}")


def hide_secrets(uri: str) -> str:
    """Return `uri` fit to be shown: without a user, a password or a query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query="", fragment="").geturl())
