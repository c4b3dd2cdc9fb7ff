"""The pictures of the page in docs/: python -m bench.page_pictures --workdir=FOLDER --to=docs

The folder is copied first. Needs the test extra and a chromium.
"""

import argparse
import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.serve import PROGRAM

TAUGHT = (
    ("Hello, who are you?", "I am your apprentice."),
    ("What do you read?", "The books that you give me."),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workdir = Path(folder) / options.workdir.name
        shutil.copytree(options.workdir, workdir)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with subprocess.Popen(
            [*PROGRAM, f"--workdir={workdir}"], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                first = json.loads(server.stdout.readline())["address"]
                take(browser, first, options.to)
            finally:
                server.send_signal(signal.SIGINT)


def take(browser: Browser, address: str, to: Path) -> None:
    """All pictures, from one life that is taught twice first."""
    page = opened(browser, address, 1280, 800)
    for words, answer in TAUGHT:
        ask(page, words)
        page.fill("#words", answer)
        page.click("#send")
        page.wait_for_selector("#dialog[open], #line .chip")
        if page.locator("#dialog[open]").count():
            page.click("#dialog >> text=Teach it now")
        page.wait_for_selector("#line .chip")
    ask(page, "Where is the white rabbit?")
    page.screenshot(path=to / "page-talk.png")
    show(page, "read", "#books td")
    page.screenshot(path=to / "page-read.png")
    show(page, "grow", "#plan table")
    page.select_option("select[name=depth]", "2")
    page.wait_for_selector("#plan meter")
    page.screenshot(path=to / "page-grow.png")
    show(page, "life", ".timeline button")
    page.click("#measure")
    page.wait_for_selector("#retention >> text=now")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    page.screenshot(path=to / "page-life-dark.png")
    page.set_viewport_size({"width": 380, "height": 780})
    page.wait_for_timeout(400)
    show(page, "talk", "#conversation li")
    page.screenshot(path=to / "page-phone-dark.png")
    page.emulate_media(color_scheme="light")
    page.screenshot(path=to / "page-phone.png")


def opened(browser: Browser, address: str, width: int, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(300_000)
    page.goto(address)
    page.wait_for_selector("#conversation li")
    return page


def ask(page: Page, words: str) -> None:
    """The five replies to these words are there."""
    page.fill("#words", words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#cards .acts button:enabled")


def show(page: Page, name: str, sign: str) -> None:
    page.click(f"nav a[data-page={name}]")
    page.wait_for_selector(sign)
    page.wait_for_timeout(300)


if __name__ == "__main__":
    main()
