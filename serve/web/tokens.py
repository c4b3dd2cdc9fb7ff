"""Who may come in: addresses that open one page each, the pages that are open, and scripts."""

import contextlib
import hmac
import json
import secrets
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any

from train.durable import write_file

# Open pages and unused addresses that are remembered; the oldest are forgotten.
MOST = 64


class Tokens:
    """The tokens of one start of the server; nothing of them outlives it."""

    def __init__(self) -> None:
        self.script = secrets.token_urlsafe(24)
        self._unused: deque[str] = deque(maxlen=MOST)
        self._pages: deque[str] = deque(maxlen=MOST)

    def new_address(self) -> str:
        """A token that opens one page, once."""
        self._unused.append(secrets.token_urlsafe(24))
        return self._unused[-1]

    def enter(self, token: str) -> str | None:
        """The token of a newly opened page for an unused address token; None for any other."""
        known = [unused for unused in self._unused if _same(unused, token)]
        if not known:
            return None
        self._unused.remove(known[0])
        self._pages.append(secrets.token_urlsafe(24))
        return self._pages[-1]

    def origin(self, token: str) -> str | None:
        """What the journal calls the holder of this token: web or script; None for nobody."""
        if _same(self.script, token):
            return "script"
        return "web" if any(_same(page, token) for page in self._pages) else None


def _same(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "replace"))


def write_serving(path: Path, port: int, tokens: Tokens) -> None:
    """Scripts of this user find the server and their token in the file."""
    record = {"address": f"http://127.0.0.1:{port}", "token": tokens.script}
    write_file(path, (json.dumps(record) + "\n").encode(), 0o600)


def ask_running(path: Path) -> str | None:
    """A fresh address from the server that the file tells of; None when none answers."""
    with contextlib.suppress(OSError, ValueError, KeyError, urllib.error.URLError):
        record: dict[str, Any] = json.loads(path.read_bytes())
        request = urllib.request.Request(
            f"{record['address']}/api/address",
            data=b"{}",
            headers={
                "Authorization": f"Bearer {record['token']}",
                "Content-Type": "application/json",
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            return str(json.loads(answer.read())["address"])
    return None
