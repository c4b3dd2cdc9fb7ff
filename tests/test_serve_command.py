"""--mode=serve as a program: its address, a second call, a taken port, Ctrl-C."""

import json
import signal
import socket
import subprocess
import sys
import urllib.parse
from importlib import resources

import pytest
from lives import new_life, open_session
from serving import Client

from serve.flags import parse
from serve.modes import run_mode

PROGRAM = [sys.executable, "-m", "serve.main", "--mode=serve", "--json"]


def test_it_serves_says_where_and_saves_when_told_to_end(tmp_path, alice_text):
    workdir = tmp_path / "life"
    new_life(workdir, alice_text)
    flags = [f"--workdir={workdir}", "--port=0", "--replies=2", "--max_new_tokens=4"]
    with subprocess.Popen(
        [*PROGRAM, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        address = urllib.parse.urlsplit(said["address"])
        assert said["event"] == "serve" and address.hostname == "127.0.0.1" and address.port
        found = json.loads((workdir / "serving.json").read_text())
        assert found["address"] == f"http://127.0.0.1:{address.port}"
        assert (workdir / "serving.json").stat().st_mode & 0o777 == 0o600
        client = Client(address.port, found["token"])
        turn = client.say("Hello")
        assert client.ask("/api/lesson", {"turn": turn["turn"], "pick": 1}).status == 200

        again = subprocess.run([*PROGRAM, *flags], capture_output=True, text=True, check=True)
        fresh = json.loads(again.stdout)["address"]
        token = urllib.parse.urlsplit(fresh).fragment.removeprefix("token=")
        assert client.ask("/api/enter", {"token": token}).status == 200

        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=300)
    assert server.returncode == 130, complaints
    assert "Traceback" not in complaints
    assert not (workdir / "serving.json").exists()
    with open_session(workdir) as session:
        assert session.state.lessons == 1
        assert session.life.journal.checkpoints()


def test_a_taken_port_is_said_before_anything_is_made(tmp_path, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = [f"--workdir={tmp_path / 'new'}", "--mode=serve", f"--port={port}"]
        assert run_mode(parse(["apprentice", *flags])) == 1
    assert "give another --port" in capfd.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["index.html", "main.js", "style.css", "vendor/uplot.js"])
def test_the_page_is_part_of_the_package(name):
    assert (resources.files("serve.web") / "page" / name).read_bytes()


def test_the_page_asks_nothing_of_anyone_else():
    folder = resources.files("serve.web") / "page"
    for file in folder.iterdir():
        if file.is_file() and not file.name.endswith(".svg"):
            text = file.read_text(encoding="utf-8")
            assert "http://" not in text and "https://" not in text, file.name
            assert "innerHTML" not in text and " onclick=" not in text, file.name
