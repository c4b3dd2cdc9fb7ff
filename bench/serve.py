"""Figures of docs/serve.md: first token in the browser, pick to line, memory, requests refused.

python -m bench.serve --workdir=FOLDER [--lessons=500] [--turns=12]

The folder is copied first; the model in it stays as it is. Needs the test extra and a chromium.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

QUESTIONS = ("Hello, who are you?", "What is a book?", "Do you like cats?", "Where do you live?")
PROGRAM = [sys.executable, "-m", "serve.main", "--mode=serve", "--json", "--port=0"]
# A reply's first letters, and the line of a lesson, with the times at which they were on the page.
WATCH = """() => {
  window.times = {};
  const note = (name) => { times[name] ??= performance.now(); };
  new MutationObserver(() => {
    const texts = [...document.querySelectorAll('.card .text')].map((one) => one.textContent);
    if (texts.some(Boolean)) note('first');
    if (texts.every(Boolean)) note('all');
    if (document.querySelector('#line .chip')) note('line');
    if (document.querySelector('.card button:enabled')) note('turn');
  }).observe(document.getElementById('talk'), { subtree: true, childList: true, attributes: true,
    characterData: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--lessons", type=int, default=500)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--chromium", default="chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "life"
        shutil.copytree(options.workdir, workdir)
        with subprocess.Popen(
            [*PROGRAM, f"--workdir={workdir}"], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                address = json.loads(server.stdout.readline())["address"]
                found = json.loads((workdir / "serving.json").read_text())
                figures = in_browser(address, options.turns, shutil.which(options.chromium))
                figures |= over_lessons(found, server.pid, options.lessons)
            finally:
                server.send_signal(signal.SIGINT)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


def in_browser(address: str, turns: int, chromium: str | None) -> dict[str, Any]:
    """Milliseconds from Enter to the first letters and to five whole replies, from key to line.

    The first turn compiles and is told apart.
    """
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("#conversation li")
        for number in range(turns):
            rows.append(one_turn(page, QUESTIONS[number % len(QUESTIONS)]))
        browser.close()
    first, rest = rows[0], rows[1:]
    middle = {name: round(statistics.median(row[name] for row in rest)) for name in first}
    worst = {name: round(max(row[name] for row in rest)) for name in first}
    return {"first_turn_ms": first, "median_ms": middle, "worst_ms": worst, "turns": len(rest)}


def one_turn(page: Page, words: str) -> dict[str, int]:
    page.fill("#words", words)
    page.evaluate(WATCH)
    started = page.evaluate("performance.now()")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card .acts button:enabled")
    found = page.evaluate("times")
    page.evaluate("() => { document.getElementById('line').replaceChildren(); times = {}; }")
    picked = page.evaluate("performance.now()")
    page.keyboard.press("1")
    page.wait_for_selector("#line .chip")
    line = page.evaluate("times.line")
    return {
        "first_letters": round(found["first"] - started),
        "five_replies": round(found["turn"] - started),
        "pick_to_line": round(line - picked),
    }


def over_lessons(found: dict[str, str], process: int, lessons: int) -> dict[str, Any]:
    """Resident memory of the server over so many lessons by a script."""
    sizes = [resident(process)]
    started = time.monotonic()
    for number in range(lessons):
        turn = ask(found, "/api/say", {"text": f"What is {number}?"})
        words = {"turn": turn["turn"], "teach": f"It is number {number}."}
        ask(found, "/api/lesson", words, f"lesson-{number:08}")
        if (number + 1) % max(lessons // 10, 1) == 0:
            sizes.append(resident(process))
    return {
        "lessons": lessons,
        "resident_mb": [round(size / 1e6) for size in sizes],
        "seconds_per_turn_and_lesson": round((time.monotonic() - started) / lessons, 3),
    }


def ask(found: dict[str, str], path: str, body: Any, key: str = "") -> Any:
    """The JSON answer, or the last event of a stream."""
    request = urllib.request.Request(found["address"] + path, json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {found['token']}")
    request.add_header("Content-Type", "application/json")
    request.add_header("Idempotency-Key", key)
    with urllib.request.urlopen(request, timeout=600) as answer:
        text = answer.read().decode()
    return json.loads(text.rpartition("data: ")[2])


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
