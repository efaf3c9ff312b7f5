"""What several of these tests need: a report and a sweep of the sample, and a browser."""

import shutil

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="session")
def reports(sample_report, sample_sweep):
    """The folder reports/ after `make report` and `make sweep RUN=sample-sweep`, with pages of both in its index."""
    return sample_report.parent


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
