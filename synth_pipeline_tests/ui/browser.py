"""A real browser without a window, which reaches this machine and nothing else."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-quic",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS_VARIABLE = "SYNTH_SCREENSHOTS"
WIDTH, HEIGHT = 2400, 1000  # the asset graph shows its nodes by name alone below about 2000
WAIT_MS = 45_000


def find_browser() -> str | None:
    """Return the path of an installed browser."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(frozen=True)
class Viewer:
    """Looks at pages of one server, and keeps what it saw."""

    page: "Page"
    url: str
    screenshots: Path

    def open(self, path: str) -> None:
        """Go to a page of the server."""
        self.page.goto(self.url + path, wait_until="domcontentloaded")

    def click_last(self, text: str) -> None:
        """Click the last visible element with exactly this text."""
        self.page.get_by_text(text, exact=True).filter(visible=True).last.click()

    def find(self, text: str | re.Pattern[str]) -> "Locator":
        """Return the first visible element with exactly this text."""
        return self.page.get_by_text(text, exact=True).filter(visible=True).first

    def sees(self, *texts: str | re.Pattern[str]) -> None:
        """Wait until every text is visible.

        Raises:
            AssertionError: one is not; says which, and what the page shows instead.
        """
        from playwright.sync_api import expect  # noqa: PLC0415  # where playwright is not installed, its tests are skipped

        for text in texts:
            try:
                expect(self.find(text)).to_be_visible()
            except AssertionError as error:
                raise AssertionError(f"{self.page.url} does not show {text!r}, but:\n{self.text()}") from error

    def sees_times(self, text: str | re.Pattern[str], times: int) -> None:
        """Wait until `times` elements with exactly this text are visible."""
        from playwright.sync_api import expect  # noqa: PLC0415  # where playwright is not installed, its tests are skipped

        expect(self.page.get_by_text(text, exact=True).filter(visible=True)).to_have_count(times)

    def text(self) -> str:
        """Return the text of the page as it is now."""
        return self.page.inner_text("body")

    def keep(self, name: str) -> None:
        """Save a screenshot, a second time in the folder that SYNTH_SCREENSHOTS names."""
        file = self.screenshots / f"{name}.png"
        self.page.screenshot(path=file)
        if kept := os.environ.get(SCREENSHOTS_VARIABLE):
            Path(kept).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, kept)


@contextmanager
def open_page(browser: str) -> Iterator["Page"]:
    """Yield a page of a browser of its own; every host but the server's is out of reach."""
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415  # where playwright is not installed, its tests are skipped

    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=[*ARGUMENTS], timeout=WAIT_MS)
        page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(WAIT_MS)
        page.context.route("**/*", _keep_at_home)
        try:
            yield page
        finally:
            running.close()


def _keep_at_home(route: "Route") -> None:
    if urlsplit(route.request.url).hostname == "127.0.0.1":
        route.continue_()
    else:
        route.abort()
