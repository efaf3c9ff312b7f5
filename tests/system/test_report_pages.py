"""The pages of a real report of the sample in headless Chromium, from files, with the network off."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import ageclf

WIDTHS = (390, 1400)  # a phone, a desk; pixels
NOTEBOOKS = sorted(path.stem for path in (ageclf.CHECKOUT / "notebooks").glob("*.ipynb"))
COMPARISON = "11_comparison"  # of a batch; no other page is
NAMES = ["index.html", *(name for name in NOTEBOOKS if name != COMPARISON)]
BATCH = [f"sample-batch/{COMPARISON}", "sample-batch/brightness-0.2_seed-1/05_evaluation"]


@pytest.fixture(params=[*NAMES, *BATCH])
def path(request, reports):
    if request.param == "index.html":
        return reports / "index.html"
    return reports / f"{request.param if '/' in request.param else f'sample/{request.param}'}.html"


@pytest.fixture
def opened(browser, path):
    """The page in a browser without network, and what it asked for and complained about."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    yield page, requests, complaints
    context.close()


def test_a_page_asks_for_nothing_but_itself_and_complains_of_nothing(opened, path):
    _, requests, complaints = opened
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert complaints == []


def test_every_figure_is_there_and_described(opened, path):
    page, _, _ = opened
    images = page.evaluate("[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt])")
    assert images or path.name == "index.html"
    for shown, description in images:
        assert shown
        assert description.startswith("Figure: ")
        assert len(description) > len("Figure: ")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(opened, width):
    page, _, _ = opened
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_links_lead_to_files_that_exist(opened):
    page, _, _ = opened
    links = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    assert links
    for link in links:
        if link.startswith("file:"):
            assert Path(unquote(urlsplit(link).path)).is_file(), link


def test_the_sample_is_called_synthetic_where_a_reader_looks_first(opened):
    page, _, _ = opened
    page.set_viewport_size({"width": 390, "height": 900})
    box = page.get_by_text("SYNTHETIC").first.bounding_box()
    assert 0 <= box["y"] < 900


def test_the_headline_stands_on_page_and_index(opened):
    page, _, _ = opened
    text = page.inner_text("body")
    assert "% accuracy" in text or "Accuracy" in text or "A batch of 4 points" in text
    assert "no evaluation yet" not in text.lower()


def test_dark_mode_keeps_text_readable(opened):
    page, _, _ = opened
    page.emulate_media(color_scheme="dark")
    colours = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    text, background = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert text > 3 * 180
    assert background < 3 * 60


def test_code_is_hidden(opened):
    page, _, _ = opened
    assert "import " not in "\n".join(page.locator("pre").all_inner_texts())
