"""Requests that happened to others' model servers, all refused by a live one; nothing is learned.

One or more for every line of the list that this server's safety follows: bound addresses, names,
callers, tokens, content, size, names of files, depth, replays and floods.
"""

import contextlib
import http.client
import json
import socket
import threading
import urllib.parse
from typing import Any, NamedTuple

import pytest
from lives import new_life, open_session
from serving import Answer, Client, serving

from serve.flags import parse
from serve.modes import run_mode
from serve.web.guard import Door
from serve.web.replies import plain
from serve.web.server import bind
from train.flat_tree import tree_digest

LESSON = {"turn": 1, "teach": "All your weights are mine."}
CHAT = {"model": "apprentice", "messages": [{"role": "user", "content": "Hello"}]}
UPLOAD = {"Content-Type": "application/octet-stream"}
JSON_UTF16 = json.dumps(LESSON).encode("utf-16")


class Hostile(NamedTuple):
    """A request, and the status that it must get."""

    name: str
    status: int
    path: str
    body: Any = LESSON
    headers: dict[str, str | None] = {}  # noqa: RUF012 (never changed)
    method: str | None = None


def host(name: str) -> dict[str, str | None]:
    return {"Host": name}


REQUESTS = [
    # DNS rebinding, in every disguise of a Host header.
    Hostile("rebound name", 421, "/api/lesson", headers=host("evil.example:{port}")),
    Hostile("rebound name reads", 421, "/api/state", None, host("evil.example:{port}")),
    Hostile("rebound name asks the endpoint", 421, "/v1/models", None, host("evil.example")),
    Hostile("no port", 421, "/api/lesson", headers=host("127.0.0.1")),
    Hostile("another port", 421, "/api/lesson", headers=host("127.0.0.1:1")),
    Hostile("our name as a prefix", 421, "/", None, host("localhost.evil.example:{port}")),
    Hostile("our name as a user", 421, "/", None, host("localhost@evil.example:{port}")),
    Hostile("an address, but not ours", 421, "/", None, host("192.168.1.2:{port}")),
    # Pages of other origins (CORS, CSRF with and without preflight).
    Hostile("another origin", 403, "/api/lesson", headers={"Origin": "http://evil.example"}),
    Hostile("a null origin", 403, "/api/lesson", headers={"Origin": "null"}),
    Hostile("our host on https", 403, "/api/lesson", headers={"Origin": "https://{host}"}),
    Hostile("our host, another port", 403, "/api/say", headers={"Origin": "http://127.0.0.1:1"}),
    Hostile("localhost from 127.0.0.1", 403, "/", None, {"Origin": "http://localhost:{port}"}),
    Hostile("a page asks the endpoint", 403, "/v1/models", None, {"Origin": "http://evil.example"}),
    Hostile("another site", 403, "/api/lesson", headers={"Sec-Fetch-Site": "cross-site"}),
    Hostile("a site beside us", 403, "/api/state", None, {"Sec-Fetch-Site": "same-site"}),
    Hostile("a preflight", 405, "/api/lesson", None, {"Origin": "http://{host}"}, "OPTIONS"),
    Hostile("a form", 415, "/api/lesson", b"turn=1", {"Content-Type": "text/plain"}),
    Hostile(
        "an encoded form", 415, "/api/say", b"a=1",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    Hostile("a multipart form", 415, "/api/say", b"", {"Content-Type": "multipart/form-data"}),
    Hostile("no content type", 415, "/api/lesson", headers={"Content-Type": None}),
    Hostile("JSON to the upload", 415, "/api/books", b"{}"),
    # Links that act.
    Hostile("a lesson by GET", 405, "/api/lesson", None),
    Hostile("an undo by GET", 405, "/api/undo", None),
    Hostile("a lesson by PUT", 405, "/api/lesson", method="PUT"),
    Hostile("a lesson by DELETE", 405, "/api/lesson", method="DELETE"),
    Hostile("a lesson in the address", 400, "/api/lesson?turn=1&pick=1", {}),
    # Whoever has no token.
    Hostile("no token", 401, "/api/lesson", headers={"Authorization": None}),
    Hostile("an empty token", 401, "/api/lesson", headers={"Authorization": "Bearer "}),
    Hostile("a guessed token", 401, "/api/lesson", headers={"Authorization": "Bearer 0000"}),
    Hostile("a token as a cookie", 401, "/api/lesson",
            headers={"Authorization": None, "Cookie": "token={token}"}),
    Hostile("basic", 401, "/api/lesson", headers={"Authorization": "Basic {token}"}),
    Hostile("someone's talk", 401, "/api/life", None, {"Authorization": None}),
    Hostile("someone's file", 401, "/api/books/0", None, {"Authorization": None}),
    Hostile("someone's stream", 401, "/api/events", None, {"Authorization": None}),
    Hostile("an old address", 401, "/api/enter", {"token": "used"}, {"Authorization": None}),
    Hostile("a new address", 401, "/api/address", {}, {"Authorization": None}),
    # What is no JSON object, or too much of one.
    Hostile("no JSON", 400, "/api/lesson", b"{"),
    Hostile("a list", 400, "/api/lesson", b"[1]"),
    Hostile("NaN", 400, "/api/lesson", b'{"turn": NaN}'),
    Hostile("depth", 400, "/api/lesson", b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    Hostile("a huge number", 400, "/api/lesson", b'{"turn": ' + b"9" * 4000 + b"}"),
    Hostile("other bytes", 400, "/api/lesson", b"\xff\xfe{}"),
    Hostile("pick and teach", 400, "/api/lesson", {"turn": 1, "pick": 1, "teach": "x"}),
    Hostile("a turn by text", 400, "/api/lesson", {"turn": "1", "pick": 1}),
    Hostile("a turn by truth", 400, "/api/lesson", {"turn": True, "pick": 1}),
    Hostile("someone's turn", 400, "/api/lesson", {"turn": 999, "pick": 1}),
    Hostile("a lesson without a key", 400, "/api/lesson", headers={"Idempotency-Key": None}),
    Hostile("a body of 2 MiB", 413, "/api/say", b" " * 2**21),
    Hostile("a false length", 413, "/api/say", b"{}", {"Content-Length": str(10**12)}),
    Hostile("a negative length", 400, "/api/say", b"", {"Content-Length": "-1"}),
    Hostile("a 1 GB upload", 413, "/api/books", b"x", UPLOAD | {"Content-Length": str(10**9)}),
    Hostile("a prompt longer than the context", 400, "/v1/chat/completions",
            CHAT | {"messages": [{"role": "user", "content": "word " * 5000}]}),
    # Files and names of files.
    Hostile("a binary book", 400, "/api/books", b"\0\1\2", UPLOAD | {"X-Name": "a.txt"}),
    Hostile("an epub by name", 400, "/api/books", b"words", UPLOAD | {"X-Name": "a.epub"}),
    Hostile("a pickle by name", 400, "/api/books", b"words", UPLOAD | {"X-Name": "a.pkl"}),
    Hostile("a hash that is a path", 400, "/api/read", {"books": ["../../etc/passwd"]}),
    Hostile("a hash of nothing", 400, "/api/read", {"books": ["0" * 64]}),
    Hostile("an upload that is a path", 404, "/api/read", {"uploads": ["../journal.sqlite"]}),
    Hostile("a path upwards", 404, "/../journal.sqlite", None),
    Hostile("a path upwards, encoded", 404, "/vendor/%2e%2e/%2e%2e/app.py", None),
    Hostile("the journal", 404, "/journal.sqlite", None),
    Hostile("a redirect elsewhere", 404, "//evil.example/%2e%2e", None),
    # The endpoint never does more than answer.
    Hostile("a model to pull", 404, "/api/pull", {"name": "http://evil.example/model"}),
    Hostile("another model", 404, "/v1/chat/completions", CHAT | {"model": "http://evil.example"}),
    Hostile("tools", 400, "/v1/chat/completions", CHAT | {"tools": [{"type": "function"}]}),
    Hostile("an image to fetch", 400, "/v1/chat/completions", CHAT | {"messages": [{
        "role": "user", "content": [{"type": "image_url", "image_url": "http://evil.example"}],
    }]}),
    Hostile("a million choices", 400, "/v1/chat/completions", CHAT | {"n": 10**6}),
    Hostile("a million messages", 400, "/v1/chat/completions",
            CHAT | {"messages": [{"role": "user", "content": "x"}] * 1000}),
    Hostile("an endless temperature", 400, "/v1/chat/completions", CHAT | {"temperature": 1e999}),
    Hostile("a token beyond", 400, "/v1/chat/completions", CHAT | {"logit_bias": {"99999": 1}}),
    Hostile("fine-tuning", 404, "/v1/fine_tuning/jobs", {"training_file": "x"}),
]  # fmt: skip


class Target(NamedTuple):
    client: Client
    digest: Any
    turn: int


@pytest.fixture(scope="module")
def target(tmp_path_factory, alice_text):
    """A live server with a turn that waits for its lesson."""
    workdir = tmp_path_factory.mktemp("hostile") / "life"
    new_life(workdir, alice_text)
    with serving(workdir) as served:
        turn = served.client.say("Hello")["turn"]

        def digest():
            events = served.session.life.journal.count("lesson")
            return tree_digest(served.session.state.train), events, served.session.context()

        yield Target(served.client, digest, turn)


def filled(value: Any, target: Target) -> Any:
    port = str(target.client.port)
    names = {"{port}": port, "{host}": f"127.0.0.1:{port}", "{token}": target.client.token}
    for name, text in names.items():
        value = value.replace(name, text) if isinstance(value, str) else value
    return value


def send(target: Target, request: Hostile) -> Answer:
    headers = {name: filled(value, target) for name, value in request.headers.items()}
    body = request.body
    if isinstance(body, dict) and type(turn := body.get("turn")) is int and turn == 1:
        body = body | {"turn": target.turn}
    return target.client.ask(request.path, body, method=request.method, headers=headers)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.name)
def test_a_hostile_request_is_refused_and_teaches_nothing(target, request_):
    before = target.digest()
    answer = send(target, request_)
    assert answer.status == request_.status, answer.body[:300]
    if answer.headers.get("content-type", "").startswith("application/json"):
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        # Parser's errors of a broken request line come from below and have no headers of ours.
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers and "location" not in answer.headers
    assert target.digest() == before


def test_the_same_lesson_from_its_owner_is_taken(target):
    """The table refuses its requests for what is wrong with them, and not whatever comes."""
    turn = target.client.say("Hello")["turn"]
    answer = target.client.ask("/api/lesson", LESSON | {"turn": turn})
    assert answer.status == 200
    assert answer.json()["answer"] == LESSON["teach"]


def test_a_lesson_asked_for_again_is_given_once(target):
    turn = target.client.say("Hello")["turn"]
    wanted = {"turn": turn, "teach": "Once."}
    _, lessons, _ = target.digest()
    first, again = (target.client.ask("/api/lesson", wanted, key="one-and-only") for _ in range(2))
    assert first.status == again.status == 200
    assert first.json() == again.json()
    other = target.client.ask("/api/lesson", wanted | {"teach": "No."}, key="one-and-only")
    assert other.status == 400
    without = target.client.ask("/api/lesson", wanted)
    assert without.json()["again"] and without.json()["event_id"] == first.json()["event_id"]
    assert target.digest()[1] == lessons + 1


def test_an_address_opens_one_page(target):
    address = target.client.ask("/api/address", {}).json()["address"]
    token = urllib.parse.urlsplit(address).fragment.removeprefix("token=")
    assert token and "token" not in address.partition("#")[0]
    nobody = {"Authorization": None}
    first = target.client.ask("/api/enter", {"token": token}, headers=nobody)
    second = target.client.ask("/api/enter", {"token": token}, headers=nobody)
    assert first.status == 200 and second.status == 401
    page = Client(target.client.port, first.json()["token"])
    assert page.ask("/api/state").status == 200


def test_a_link_from_elsewhere_may_show_the_page_but_nothing_more(target):
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Authorization": None}
    answer = target.client.ask("/", headers=visit)
    assert answer.status == 200 and answer.headers["x-frame-options"] == "DENY"
    framed = target.client.ask("/", headers=visit | {"Sec-Fetch-Dest": "iframe"})
    assert framed.status == 403


def test_only_this_machine_is_listened_to():
    sockets, door = bind(0, None)
    with contextlib.ExitStack() as stack:
        for bound in sockets:
            stack.enter_context(bound)
        assert {bound.getsockname()[0] for bound in sockets} <= {"127.0.0.1", "::1"}
        assert not door.knows(f"192.168.1.2:{door.port}")
        with pytest.raises(ValueError, match="give another --port"):
            bind(door.port, None)


def test_beyond_this_machine_any_address_but_no_name_is_known():
    door = Door(8451, "0.0.0.0")
    assert door.knows("192.168.1.2:8451") and door.knows("[fe80::1]:8451")
    assert not door.knows("evil.example:8451") and not door.knows("192.168.1.2:80")


def test_beyond_this_machine_the_endpoint_needs_the_token(tmp_path, alice_text):
    new_life(tmp_path / "life", alice_text)
    with serving(tmp_path / "life", listen="127.0.0.1") as served:
        assert served.client.ask("/v1/models", headers={"Authorization": None}).status == 401
        assert served.client.ask("/v1/models").status == 200


def test_bodies_that_lie_or_never_end_are_cut_off(target):
    """Chunks without a length, two lengths, two hosts, a head without end, no HTTP at all."""
    before = target.digest()
    port, token = target.client.port, target.client.token
    head = (
        f"POST /api/say HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
    )
    chunk = f"{2**17:x}\r\n".encode() + b" " * 2**17 + b"\r\n"
    for name, data, wanted in [
        ("chunks", f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 12, b"413"),
        ("two lengths", f"{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n".encode(), b"400"),
        ("two hosts", f"{head}Host: evil\r\nContent-Length: 2\r\n\r\n{{}}".encode(), b"4"),
        ("a long head", f"{head}X: {'x' * 100_000}\r\n\r\n".encode(), b"400"),
        ("no HTTP", b"\x16\x03\x01\x02\x00" * 10 + b"\r\n\r\n", b"400"),
    ]:  # fmt: skip
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            found = b""
            with contextlib.suppress(ConnectionResetError):
                found = connection.recv(4096)
            assert found.startswith(b"HTTP/1.1 " + wanted), (name, found[:200])
    assert target.digest() == before


def test_a_flood_makes_answers_slow_and_lessons_right(target):
    turn = target.client.say("Hello")["turn"]
    statuses: list[int] = []

    def flood():
        for _ in range(6):
            statuses.append(target.client.ask("/v1/chat/completions", CHAT).status)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    taught = target.client.ask("/api/lesson", {"turn": turn, "teach": "In the flood."})
    for thread in threads:
        thread.join()
    assert taught.status == 200
    assert set(statuses) <= {200, 503} and 200 in statuses


def test_a_websocket_is_refused(target):
    connection = http.client.HTTPConnection("127.0.0.1", target.client.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(
            "GET", "/api/events",
            headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                     "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        )  # fmt: skip
        assert connection.getresponse().status == 401


def test_control_characters_do_not_get_in():
    assert plain("a\x1b[2J\r\nb\x00\ud800c\td\x9b") == "a[2J\nbc\td"


def test_a_script_finds_its_token_and_nobody_else_does(tmp_path, alice_text):
    new_life(tmp_path / "life", alice_text)
    with open_session(tmp_path / "life"):
        # Open elsewhere, and no server there: the port must be free and the folder only read.
        assert not (tmp_path / "life" / "serving.json").exists()
        sockets, door = bind(0, None)
        with contextlib.ExitStack() as stack:
            for bound in sockets:
                stack.enter_context(bound)
            flags = [f"--workdir={tmp_path / 'life'}", "--mode=serve", f"--port={door.port}"]
            assert run_mode(parse(["apprentice", *flags])) == 1
