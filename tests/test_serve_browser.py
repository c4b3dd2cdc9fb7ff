"""The page in a real browser: talk, pick, undo, read over a reload, grow, look at the life.

One server, one browser and one tiny life for all; the tests go on from one another, in their order.
"""

import time

import pytest
from browser import chromium, needs_browser, watched
from lives import new_life
from serving import serving

from train.flat_tree import tree_digest

pytestmark = needs_browser


@pytest.fixture(scope="module")
def served(tmp_path_factory, alice_text):
    workdir = tmp_path_factory.mktemp("browser") / "ada"
    new_life(workdir, alice_text)
    with serving(workdir) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def seen(browser, served):
    """A page that came in by its address, watched over all tests."""
    seen = watched(browser, viewport={"width": 1280, "height": 800})
    seen.page.goto(served.house.address())
    seen.page.wait_for_selector("#conversation li")
    return seen


def digest(served):
    return tree_digest(served.session.state.train)


def ask(page, words):
    page.fill("#words", words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#cards .acts button:enabled")


def test_the_token_leaves_the_address(seen):
    assert "token" not in seen.page.url
    assert seen.page.evaluate("document.cookie") == ""


def test_replies_stream_side_by_side_and_nothing_moves(seen):
    page = seen.page
    page.evaluate(
        "window.grown = new Set(); new MutationObserver(() => grown.add([...document"
        ".querySelectorAll('.card .text')].map((t) => t.textContent.length).join()))"
        ".observe(document.getElementById('cards'), { subtree: true, childList: true });"
    )
    ask(page, "Hello, who are you?")
    cards = page.locator("#cards .card")
    assert cards.count() == 3
    assert all(cards.nth(n).locator(".text").inner_text() for n in range(3))
    lengths = [tuple(map(int, each.split(","))) for each in page.evaluate("[...grown]")]
    assert len(lengths) >= 2
    assert len({cards.nth(n).bounding_box()["y"] for n in range(3)}) == 1
    assert page.evaluate("moved") < 0.01


def test_a_key_picks_the_line_appears_and_undo_restores_the_digest(seen, served):
    page, before = seen.page, digest(served)
    picked = served.house.turns[max(served.house.turns)].replies[1].text
    page.keyboard.press("2")
    page.wait_for_selector("#line .chip")
    assert "loss" in page.inner_text("#line") and "→" in page.inner_text("#line")
    assert digest(served) != before
    lesson = next(served.session.life.journal.events(kinds=("lesson",)))
    assert lesson.data["answer"] == picked and lesson.data["origin"] == "web"
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.wait_for_selector("#line >> text=Took back")
    assert digest(served) == before


def test_an_edited_reply_and_a_typed_one_are_taught(seen, served):
    page = seen.page
    ask(page, "Who?")
    page.keyboard.press("e")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("I am <b>Ada</b>.")
    page.keyboard.press("Enter")
    # The answer is a big surprise to so young a model, or else it is taught at once.
    page.wait_for_selector("#dialog[open], #line .chip")
    if page.locator("#dialog[open]").count():
        page.click("#dialog >> text=Teach it now")
    page.wait_for_selector("#line .chip")
    page.wait_for_selector("#conversation >> text=I am <b>Ada</b>.")
    assert page.locator("#conversation b").count() == 0
    *_, lesson = served.session.life.journal.events(kinds=("lesson",))
    assert lesson.data["answer"] == "I am <b>Ada</b>."


def test_the_page_tells_why_a_reply_came(seen):
    page = seen.page
    ask(page, "Who is Ada?")
    page.keyboard.press("w")
    page.wait_for_selector("#dialog >> text=Near in words")
    assert "I am <b>Ada</b>." in page.inner_text("#dialog .why")
    page.click("#dialog >> text=Close")
    page.keyboard.press("0")
    page.wait_for_selector("#line >> text=nothing was learned")


def test_learning_can_be_off_and_none_is_a_choice(seen, served):
    page = seen.page
    lessons = served.session.state.lessons
    ask(page, "Why?")
    page.keyboard.press("0")
    page.wait_for_selector("#line >> text=nothing was learned")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector("#facts >> text=learning off")
    last = served.session.life.journal.last()
    page.fill("#words", "Not kept")
    page.keyboard.press("Enter")
    page.wait_for_selector("#line >> text=nothing of this is kept")
    assert served.session.life.journal.last() == last
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector("#facts >> text=learning on")
    assert served.session.state.lessons == lessons


def test_a_book_is_shown_read_reloaded_stopped_and_gone_on_with(
    seen, served, tmp_path, alice_text, monkeypatch
):
    # A row every few windows, so that a book of a minute shows its bar at once.
    monkeypatch.setattr("train.reading.ROW_SECONDS", 0.2)
    page = seen.page
    book = tmp_path / "A Page.txt"
    head = "*** START OF THE PROJECT GUTENBERG EBOOK A PAGE ***\n"
    book.write_text("Project Gutenberg\n" + head + alice_text[2000:42_000], encoding="utf-8")
    page.click("nav >> text=Read")
    page.set_input_files("#files", str(book))
    page.wait_for_selector("#uploads >> text=Read it")
    assert "characters cut before the text" in page.inner_text("#uploads")
    page.wait_for_selector("#uploads .cleaned h3")
    page.click("#uploads >> text=Read it")
    page.wait_for_selector("#reading-figures >> text=windows")
    page.reload()
    page.wait_for_selector("#reading-figures >> text=bits per byte")
    assert page.locator("#reading-bar").get_attribute("value") != "0"
    page.wait_for_selector("#curve canvas")
    page.click("#reading-stop")
    page.wait_for_selector("#books >> text=Go on")
    steps = served.session.state.steps
    assert steps > 0
    monkeypatch.setattr("train.reading.ROW_SECONDS", 5.0)
    page.click("#books >> text=Go on")
    page.wait_for_selector("#report >> text=a-page")
    assert served.session.state.steps > steps
    page.wait_for_selector("#books >> text=read to the end")


def test_a_spent_address_says_how_to_get_another(browser, served):
    seen = watched(browser)
    address = served.house.address()
    seen.page.goto(address)
    seen.page.wait_for_selector("#conversation")
    again = watched(browser)
    again.page.goto(address)
    again.page.wait_for_selector("#closed >> text=--mode=serve")
    assert not again.page.locator("nav").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_sees_all_of_it_and_can_pick_by_touch(browser, served, scheme):
    seen = watched(
        browser, viewport={"width": 380, "height": 780}, color_scheme=scheme, has_touch=True
    )
    page = seen.page
    page.goto(served.house.address())
    page.wait_for_selector("#conversation li")
    for name in ("talk", "read", "grow", "life"):
        page.tap(f"nav a[data-page={name}]")
        page.wait_for_selector(f"#{name}:visible")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, name
    page.tap("nav a[data-page=talk]")
    page.fill("#words", "Hello")
    page.tap("#send")
    page.wait_for_selector("#cards .acts button:enabled")
    page.tap("#cards .card:nth-child(3) .acts button")
    page.wait_for_selector("#line .chip")
    assert seen.complaints == []
    assert not any(contrast_complaints(page)), contrast_complaints(page)


def contrast_complaints(page):
    """Texts with less contrast to their ground than WCAG AA wants (4.5 to 1), and controls without
    a name."""
    return page.evaluate("""() => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number)
          .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (node) => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
        return 'rgb(255, 255, 255)';
      };
      const found = [];
      for (const node of document.querySelectorAll('body *')) {
        const shown = node.checkVisibility() && !node.disabled && !node.closest(':disabled');
        const words = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (shown && words) {
          const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) found.push(`${node.textContent.slice(0, 40)}: ${ratio.toFixed(2)}`);
        }
        const control = node.matches('button, input, textarea, select, a[href]');
        const label = node.getAttribute('aria-label') || node.labels?.length;
        const named = node.textContent.trim() || label;
        if (shown && control && !named) found.push(`${node.tagName} ${node.id} has no name`);
      }
      return found;
    }""")


def test_a_lesson_goes_on_while_the_page_is_away(browser, served):
    """The page leaves with its lesson under way; the next page finds it done."""
    seen = watched(browser)
    seen.page.goto(served.house.address())
    seen.page.wait_for_selector("#conversation li")
    ask(seen.page, "Away?")
    lessons = served.session.state.lessons
    seen.page.keyboard.press("1")
    seen.page.goto("about:blank")
    until = time.monotonic() + 120
    while served.session.state.lessons == lessons and time.monotonic() < until:
        seen.page.wait_for_timeout(20)
    assert served.session.state.lessons == lessons + 1


def test_the_model_grows_after_its_plan_was_seen(seen, served):
    page, before = seen.page, served.session.state.config.model.n_layers
    page.click("nav >> text=Grow")
    page.select_option("select[name=depth]", "2")
    page.wait_for_selector("#plan >> text=Weights and moments, by part")
    page.click("#grow-now")
    page.wait_for_selector("#proof >> text=greedy text identical")
    assert served.session.state.config.model.n_layers == 2 * before


def test_the_life_is_searched_and_its_weights_are_shown(seen):
    page = seen.page
    page.click("nav >> text=Life")
    page.wait_for_selector(".timeline >> text=Grew, and says the same")
    assert page.locator(".timeline .undone").count() >= 1
    page.fill("#search", "Ada")
    page.wait_for_selector(".timeline li:only-child >> text=Ada")
    page.click(".timeline button")
    page.wait_for_selector("#dialog >> text=Take it back (about")
    page.click("#dialog >> text=Close")
    page.click("#measure")
    page.wait_for_selector("#retention >> text=now")
    page.click("#weights-now")
    page.wait_for_selector("#weights td")


def test_the_page_complained_of_nothing_and_left_the_host_alone(seen, served):
    assert seen.complaints == []
    own = f"http://127.0.0.1:{served.client.port}/"
    assert seen.addresses and all(address.startswith(own) for address in seen.addresses)
