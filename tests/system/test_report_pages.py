"""The pages of a real report of the sample in headless Chromium, from files, with the network off."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from barriers import serious_barriers

import ageclf

WIDTHS = (390, 1400)  # a phone, a desk; pixels
NOTEBOOKS = sorted(path.stem for path in (ageclf.CHECKOUT / "notebooks").glob("*.ipynb"))
COMPARISON = "11_comparison"  # of a sweep; no other page is
NAMES = ["index", "sample/index", *(f"sample/{name}" for name in NOTEBOOKS if name != COMPARISON)]
NAMES += ["sample-sweep/index", f"sample-sweep/{COMPARISON}", "sample-sweep/brightness-0.2_seed-1/05_evaluation"]


@pytest.fixture(scope="module", params=NAMES)
def path(request, reports):
    return reports / f"{request.param}.html"


@pytest.fixture(scope="module")
def opened(browser, path):
    """The page in a browser without network, opened once for all that is looked at; what it asked for and said."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    yield page, requests, complaints
    context.close()


@pytest.fixture
def page(opened):
    """The page as it is when it opens, on a desk."""
    page, _, _ = opened
    page.set_viewport_size({"width": 1400, "height": 900})
    page.emulate_media(color_scheme="light", media="screen")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    return page


def test_a_page_asks_for_nothing_but_itself_and_complains_of_nothing(opened, path):
    _, requests, complaints = opened
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert complaints == []


def test_a_page_is_one_small_file(path):
    assert path.stat().st_size < 3_000_000


def test_every_figure_is_there_with_a_caption_and_described_in_words_of_its_own(page, path):
    figures = page.evaluate(
        """[...document.querySelectorAll('figure img')].map(image => [image.complete && image.naturalWidth > 0,
            image.alt, image.closest('figure').lastElementChild.innerText])"""
    )
    assert figures or path.name == "index.html"
    # A thumbnail of the index needs no words: the name of its run stands in the same link.
    assert page.evaluate("[...document.images].every(image => image.hasAttribute('alt') && image.naturalWidth > 0)")
    for number, (shown, alt, caption) in enumerate(figures, start=1):
        assert shown
        assert caption.startswith(f"Figure {number}. ")
        assert len(alt) > 40, "the nearest heading stands in: the cell's metadata lack `alt`"
    assert len({caption for _, _, caption in figures}) == len(figures)


def test_on_a_phone_a_figure_stays_legible_and_a_tap_enlarges_it(page):
    page.set_viewport_size({"width": 390, "height": 900})
    for figure in page.locator("figure").all():
        image, plotted = figure.locator("img"), figure.evaluate("f => parseInt(f.style.getPropertyValue('--width'))")
        before = image.bounding_box()["width"]
        assert before >= 0.64 * plotted, "ten-point text has at least nine pixels"
        figure.locator("summary").click()
        assert image.bounding_box()["width"] > before
        figure.locator("summary").click()
        assert image.bounding_box()["width"] == before


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# A colour scheme at each width: contrast hangs on the one, what scrolls and what folds on the other.
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_axe_finds_no_serious_barrier(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert not serious_barriers(page)


def test_links_lead_to_files_and_headings_that_exist(page, path):
    links = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    assert links
    for link in links:
        if link.startswith("file:"):
            assert Path(unquote(urlsplit(link).path)).is_file(), link
    anchors = {unquote(urlsplit(link).fragment) for link in links} - {""}
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert anchors or path.name == "index.html"
    assert anchors <= set(ids)
    assert len(set(ids)) == len(ids)


def test_the_contents_are_open_on_a_desk_and_a_click_away_on_a_phone(page, path):
    if path.name == "index.html":
        return
    contents = page.locator(".contents li").first
    assert contents.is_visible()
    page.set_viewport_size({"width": 390, "height": 900})
    assert not contents.is_visible()
    page.get_by_text("On this page").click()
    assert contents.is_visible()


def test_a_phone_shows_headline_or_drawn_faces_and_the_way_back_first(page, path):
    page.set_viewport_size({"width": 390, "height": 900})
    page.evaluate("scrollTo(0, 0)")
    assert 0 <= page.get_by_text("SYNTHETIC").first.bounding_box()["y"] < 900
    if path.name != "index.html":
        assert page.locator("header").bounding_box()["y"] < 300
        home, current = page.get_by_role("link", name="All runs").first, page.locator("a[aria-current]")
        assert home.bounding_box()["x"] + home.bounding_box()["width"] <= current.bounding_box()["x"] < 390


def test_the_headline_stands_on_page_and_index(page):
    text = page.inner_text("body")
    assert "Accuracy" in text or "A sweep of 4 configurations" in text
    assert "no evaluation yet" not in text.lower()


def test_dark_mode_keeps_text_readable(page):
    page.emulate_media(color_scheme="dark")
    colours = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    text, background = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert text > 3 * 180
    assert background < 3 * 60


def test_on_paper_there_is_no_navigation_and_nothing_is_cut_off(page, path):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})  # what is between the margins of A4
    assert page.locator("nav:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    if path.name != "index.html":
        assert page.get_by_text("Versions", exact=True).is_visible()


def test_code_is_a_click_away(page, path):
    code = page.locator("details.code pre").filter(has_text="import ageclf")
    assert code.count() == (0 if path.name == "index.html" else 1)
    if code.count():
        assert not code.is_visible()
        code.locator("xpath=..").locator("summary").click()
        assert code.is_visible()


def test_the_index_is_sorted_by_its_headings_from_the_keyboard(browser, reports):
    page = browser.new_page()
    page.goto((reports / "index.html").as_uri())
    rows = page.locator(".runs tbody th")
    assert rows.all_inner_texts() == ["sample-sweep", "sample"], "newest first, and no configuration of a sweep"
    page.get_by_role("button", name="Run").focus()
    for direction, expected in (("ascending", ["sample", "sample-sweep"]), ("descending", ["sample-sweep", "sample"])):
        page.keyboard.press("Enter")
        assert rows.all_inner_texts() == expected
        assert page.locator(f"th[aria-sort={direction}]").inner_text().startswith("Run")
    for _ in "up", "down":
        page.get_by_role("button", name="Accuracy").click()
        assert rows.all_inner_texts() == ["sample", "sample-sweep"], "what has no accuracy stays last"
    page.close()
