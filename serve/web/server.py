"""--mode=serve: the folder opened, the sockets bound, the page's address printed."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from serve.output import Output
from serve.session import Session
from serve.web.app import make_app
from serve.web.guard import Door
from serve.web.house import House
from serve.web.tokens import ask_running, write_serving

SERVING = "serving.json"
_GOODBYE_SECONDS = 3


class Server(uvicorn.Server):
    """A uvicorn server for one house; streams end when it does."""

    def __init__(self, house: House) -> None:
        app = make_app(house, lambda: self.should_exit)
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=256,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )
        self._house = house

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Streams look up, see the end and finish."""
        super().handle_exit(sig, frame)
        self._house.board.changed()


def bind(port: int, listen: str | None) -> tuple[list[socket.socket], Door]:
    """Listening sockets of this machine alone, or those of `listen`, and where they are.

    Raises:
      ValueError: the port is taken, or the address is not of this machine.
    """
    if listen is not None:
        only = _bind(listen, port)
        return [only], Door(only.getsockname()[1], listen)
    first = _bind("127.0.0.1", port)
    bound, port = [first], first.getsockname()[1]
    # A machine without IPv6 has no ::1.
    with contextlib.suppress(ValueError):
        bound.append(_bind("::1", port))
    return bound, Door(port)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"the server cannot listen on {host} port {port}: {reason}; end what listens there, "
            "or give another --port."
        ) from error
    return found


def address_of_running(workdir: Path) -> str | None:
    """A fresh address of the server that holds this folder already, if one does."""
    return ask_running(workdir / SERVING)


def show_address(address: str, output: Output) -> None:
    """The address is on standard output; it opens one page, once."""
    output.done({"event": "serve", "address": address}, f"Open {address}")


def serve(
    session: Session, sockets: list[socket.socket], door: Door, remark: str, output: Output
) -> None:
    """Served until the process is told to end; then everything is finished and saved."""
    with House(session, door, remark) as house, _found_by_scripts(house):
        if remark:
            output.say(remark)
        if door.listen is not None:
            output.say(
                f"WARNING: whoever reaches {door.listen} port {door.port} and has this address can "
                "teach this model and read its talk; nothing on the way is encrypted."
            )
        show_address(house.address(), output)
        output.say(
            "It opens one page, once; the same command in another terminal prints a fresh one. "
            "Ctrl-C saves and ends."
        )
        _run(Server(house), sockets)


def _run(server: Server, sockets: list[socket.socket]) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        server.run(sockets)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _found_by_scripts(house: House) -> Iterator[None]:
    """Scripts of the same user find address and token in the folder, while it is served."""
    path = house.session.life.workdir / SERVING
    if house.session.life.lock is None:
        yield
        return
    write_serving(path, house.door.port, house.tokens)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
