"""The messages of a job server that is not there, refuses, is too old or is something else. No secret is in any."""

from __future__ import annotations

import http.server
import json
import pwd
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from retro_gamer.errors import ClusterError, UsageError
from retro_gamer.jobs.client import JobServer, UnreachableError, find_token, home_folder, protect_token_file

TOKEN = "a-token-of-the-test"


class Answers:
    """Answers by path: a status and a value. What was asked, with the token, is kept."""

    def __init__(self) -> None:
        self.by_path: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str | None]] = []


@pytest.fixture
def answers() -> Iterator[tuple[Answers, str]]:
    kept = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            kept.asked.append((self.command, path, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = kept.by_path.get(path, (404, "not found"))
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_token_is_found_where_ray_keeps_it(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_token() is None
    (own_home / ".ray").mkdir()
    (own_home / ".ray" / "auth_token").write_text("from the home\n")
    assert find_token() == "from the home"
    (own_home / "other").write_text("from a file")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(own_home / "other"))
    assert find_token() == "from a file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from the environment")
    assert find_token() == "from the environment"


def test_a_token_in_the_home_folder_that_others_can_read_is_made_private_with_a_remark(own_home: Path) -> None:
    assert protect_token_file() is None
    (own_home / ".ray").mkdir()
    file = own_home / ".ray" / "auth_token"
    file.write_text(TOKEN)
    for mode in (0o644, 0o640, 0o604):
        file.chmod(mode)
        remark = protect_token_file()
        assert remark is not None
        assert str(file) in remark
        assert TOKEN not in remark
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert protect_token_file() is None
    assert find_token() == TOKEN


def test_a_named_token_file_keeps_its_mode_and_is_remarked_on(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own_home / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert f"chmod 600 {file}" in str(protect_token_file())
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.chmod(0o600)
    assert protect_token_file() is None
    file.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)  # the file is not used
    assert protect_token_file() is None


def test_a_missing_token_file_is_reported(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(own_home / "nothing"))
    with pytest.raises(UsageError, match="nothing, which does not exist"):
        find_token()


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://user:secret@host:1", "http://host/?secret=1"])
def test_a_wrong_address_is_refused_without_its_secrets(address: str) -> None:
    with pytest.raises(UsageError, match="--address") as raised:
        JobServer(address)
    assert "secret" not in str(raised.value)


def test_an_address_where_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=f"nothing answers at http://{address}"):
            JobServer(address).version()


@pytest.mark.parametrize(
    ("status", "token", "said"),
    [(401, None, "none was found"), (403, TOKEN, "does not accept"), (401, TOKEN, "does not accept")],
)
def test_no_token_and_a_wrong_one(
    answers: tuple[Answers, str], monkeypatch: pytest.MonkeyPatch, status: int, token: str | None, said: str
) -> None:
    kept, address = answers
    kept.by_path["/api/version"] = (status, f"Unauthorized {TOKEN}")
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with pytest.raises(ClusterError, match=said) as raised:
        JobServer(address).version()
    assert "auth_token" in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert kept.asked == [("GET", "/api/version", f"Bearer {token}" if token else None)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"ray_version": "2.9.3"}, "the cluster runs Ray 2.9.3; retro-gamer needs 2.52"),
        ({"hello": 1}, "is not a Ray dashboard"),
        (b"<html>", "is not a Ray dashboard"),
    ],
)
def test_another_version_and_another_program(answers: tuple[Answers, str], answer: Any, said: str) -> None:
    kept, address = answers
    kept.by_path["/api/version"] = (200, answer)
    with pytest.raises(ClusterError, match=said):
        JobServer(address).version()


def test_a_version_that_is_new_enough(answers: tuple[Answers, str]) -> None:
    kept, address = answers
    kept.by_path["/api/version"] = (200, {"ray_version": "2.60.0"})
    assert JobServer(address).version() == "2.60.0"


def test_a_package_the_cluster_has_is_not_sent_again(answers: tuple[Answers, str]) -> None:
    kept, address = answers
    kept.by_path["/api/packages/gcs/there.zip"] = (200, {})
    server = JobServer(address)
    assert server.upload("there.zip", b"x") == "gcs://there.zip"
    assert [method for method, _, _ in kept.asked] == ["GET"]
    with pytest.raises(ClusterError, match="refused"):  # this server takes no other
        server.upload("new.zip", b"x")
    assert [method for method, _, _ in kept.asked] == ["GET", "GET", "PUT"]


CALLS: list[Callable[[JobServer], object]] = [
    lambda server: server.info("job"),
    lambda server: server.stop("job"),
    lambda server: server.submit("job", "true", {}, {}),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_fails_may_be_back_and_a_refusal_is_final(
    answers: tuple[Answers, str], call: Callable[[JobServer], object]
) -> None:
    kept, address = answers
    paths = ("/api/jobs/job", "/api/jobs/job/stop", "/api/jobs/")
    kept.by_path.update(dict.fromkeys(paths, (500, "first line\nno agent\x1b[1m")))
    with pytest.raises(UnreachableError, match="no agent") as raised:
        call(JobServer(address))
    assert "\x1b" not in str(raised.value)
    kept.by_path.update(dict.fromkeys(paths, (400, "bad")))
    with pytest.raises(ClusterError) as refused:
        call(JobServer(address))
    assert not isinstance(refused.value, UnreachableError)


def test_the_state_of_a_job(answers: tuple[Answers, str]) -> None:
    kept, address = answers
    server = JobServer(address)
    with pytest.raises(ClusterError, match="does not know the job"):
        server.info("job")
    assert not server.knows("job")
    kept.by_path["/api/jobs/job"] = (200, {"status": "RUNNING", "message": None, "driver_node_id": "n1"})
    info = server.info("job")
    assert (info.status, info.message, info.node_id, info.has_ended) == ("RUNNING", "", "n1", False)
    kept.by_path["/api/jobs/job"] = (200, {"status": "STOPPED"})
    assert server.info("job").has_ended
    assert server.knows("job")


@pytest.mark.parametrize(
    ("answer", "content"), [((200, b"\x00bytes\xff"), b"\x00bytes\xff"), ((200, b""), None), ((500, b"no file"), None)]
)
def test_files_come_as_they_are(answers: tuple[Answers, str], answer: tuple[int, bytes], content: bytes | None) -> None:
    kept, address = answers
    kept.by_path["/api/v0/logs/file"] = answer
    assert JobServer(address).read_log_file("n1", "retro-gamer/job/config.toml") == content


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ((200, {"data": {"pythonVersion": "3.11.7"}}), "3.11.7"),
        ((200, {"data": {}}), None),
        ((200, {"data": {"pythonVersion": "unknown"}}), None),
        ((200, b"<html>"), None),
        ((404, "not found"), None),
        ((500, "an older Ray"), None),
    ],
)
def test_the_python_of_a_cluster_that_reports_it(
    answers: tuple[Answers, str], answer: tuple[int, Any], version: str | None
) -> None:
    kept, address = answers
    kept.by_path["/api/v0/cluster_metadata"] = answer
    assert JobServer(address).python_version() == version


def test_a_python_that_is_too_old(answers: tuple[Answers, str]) -> None:
    kept, address = answers
    kept.by_path["/api/v0/cluster_metadata"] = (200, {"data": {"pythonVersion": "3.10.12"}})
    with pytest.raises(ClusterError, match=r"the cluster runs Python 3\.10\.12; retro-gamer needs 3\.11"):
        JobServer(address).python_version()


@pytest.mark.parametrize(
    ("token", "what"),
    [("two\nlines", "a line break"), ("with a \t tab", "no ASCII letter"), ("schlüssel", "no ASCII letter")],
)
def test_a_token_that_cannot_be_sent_is_refused_without_quoting_it(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, token: str, what: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with pytest.raises(UsageError, match=f"RAY_AUTH_TOKEN contains .*{what}") as raised:
        find_token()
    assert token not in str(raised.value)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (own_home / ".ray").mkdir()
    (own_home / ".ray" / "auth_token").write_bytes(token.encode("latin-1"))
    with pytest.raises(UsageError, match=f"auth_token contains .*{what}"):
        find_token()


def test_a_user_without_a_name_and_a_home_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_entry(number: int) -> NoReturn:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", has_no_entry)
    assert home_folder() is None
    assert find_token() is None
