"""A headless Chromium in tests: the text that a page shows, and what its scripts complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1000",
)

SHOWN = """
const texts = (node) => node.nodeType === Node.TEXT_NODE
    ? [node.textContent]
    : ["STYLE", "SCRIPT"].includes(node.nodeName)
    ? []
    : [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].flatMap(texts);
return texts(document.body).map((text) => text.trim()).filter((text) => text);
"""
"""Bokeh draws into shadow trees, which an element's own text leaves out."""


def why_no_browser() -> str | None:
    """Why there can be no browser here, or None."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not here: apt-get install chromium chromium-driver"
    try:
        import selenium  # noqa: F401 - whether it is here is all that is asked
    except ImportError:
        return "selenium is not here: pip install '.[dev]'"
    return None


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser with an empty profile in a folder of the test's own."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def shown(driver: Chrome) -> list[str]:
    """Every text on the page, in order."""
    return list(driver.execute_script(SHOWN))


def complaints(driver: Chrome) -> list[str]:
    """Errors in the browser's log since it was last asked."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
