from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.run.storages import SECRET, S3Server


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    import s3fs

    server = S3Server()
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem.retries = 1
    s3fs.S3FileSystem().mkdirs("bucket", exist_ok=True)
    yield server
    server.stop()
