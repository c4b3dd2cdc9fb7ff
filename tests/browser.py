"""The real browser that the page is tried in, and what a page complained of."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MANDATORY = os.environ.get("APPRENTICE_BROWSER") == "required"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not MANDATORY,
    reason="no chromium here, hence no test of the page in a browser: install the package chromium",
)


class Watched(NamedTuple):
    """A page, what its console and scripts complained of, and every address that it asked for."""

    page: Page
    complaints: list[str]
    addresses: list[str]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium of the distribution."""
    assert CHROMIUM is not None, "APPRENTICE_BROWSER=required, and there is no chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def watched(browser: Browser, **options) -> Watched:
    """A new page in a context of its own; a step that takes two minutes fails."""
    context = browser.new_context(**options)
    context.set_default_timeout(120_000)
    page = context.new_page()
    found = Watched(page, [], [])
    page.on("console", lambda m: found.complaints.append(m.text) if m.type != "log" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.addresses.append(request.url))
    # How far anything moved that nobody had asked to move.
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver((list) => { for (const entry of "
        "list.getEntries()) if (!entry.hadRecentInput) window.moved += entry.value; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    return found
