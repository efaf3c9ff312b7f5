"""What axe-core finds on a page."""

from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


def serious_barriers(page: Page) -> str:
    """Return what keeps somebody from using the page as it is now, a line each; an empty text for nothing serious."""
    assert AXE.exists(), "npm ci --prefix tests/system"
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(results => results.violations)")
    serious = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    return "\n".join(
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in serious
        for node in violation["nodes"][:3]
    )
