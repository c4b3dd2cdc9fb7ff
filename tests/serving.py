"""A live server on a tiny life, and a client that speaks to it over a real socket."""

import contextlib
import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lives import open_session

from serve.session import Session
from serve.web.house import House
from serve.web.server import Server, bind


class Answer(NamedTuple):
    """A whole response: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[tuple[str, Any]]:
        """The server-sent events as (name, data)."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
            if "data" in lines:
                data = lines["data"]
                value = data if data == "[DONE]" else json.loads(data)
                found.append((lines.get("event", ""), value))
        return found


class Client:
    """Requests as our page or a script of the owner sends them; every part can be overridden."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: dict[str, str | None] | None = None,
        key: str | None = None,
    ) -> Answer:
        """The answer to one request; a header of None is left out."""
        method = method or ("GET" if body is None else "POST")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent: dict[str, str | None] = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            sent |= {"Content-Type": "application/json", "Idempotency-Key": key or uuid.uuid4().hex}
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(
                method, path, data, {name: v for name, v in sent.items() if v is not None}
            )
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def say(self, text: str) -> dict[str, Any]:
        """The finished turn."""
        answer = self.ask("/api/say", {"text": text})
        assert answer.status == 200, answer.body
        name, turn = answer.events()[-1]
        assert name == "turn", turn
        return turn

    def wait(self) -> dict[str, Any]:
        """The state once nothing runs or waits any more."""
        while (state := self.ask("/api/state").json())["queue"]:
            threading.Event().wait(0.02)
        return state


class Served(NamedTuple):
    """A running server: its session, what its routes share, and the owner's client."""

    session: Session
    house: House
    client: Client


@contextlib.contextmanager
def serving(workdir: Path, *, listen: str | None = None, **options: Any) -> Iterator[Served]:
    """A server on the life in `workdir`, ended and saved when the block is left."""
    sockets, door = bind(0, listen)
    with open_session(workdir, **options) as session, House(session, door) as house:
        server = Server(house)
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            yield Served(session, house, Client(door.port, house.tokens.script))
        finally:
            server.should_exit = True
            house.board.changed()
            thread.join()
            for bound in sockets:
                bound.close()
