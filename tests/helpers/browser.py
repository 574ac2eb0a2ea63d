"""A headless Chromium, and what a test asks of a page in it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

PATIENCE = 60.0
"""Seconds after which a page that is still drawing has failed, on a machine that is busy."""

ENDED = """
return [...document.querySelectorAll('section.page:not([hidden]) .chart')]
  .every(c => c.dataset.state === 'drawn')"""
WITHOUT_MARKS = """
return [...document.querySelectorAll('section.page:not([hidden]) figure')]
  .filter(f => f.querySelector('.chart') && !f.querySelector(
    'svg .mark-symbol path, svg .mark-line path, svg .mark-rule line'))
  .map(f => f.id)"""


@contextmanager
def chromium() -> Iterator[Chrome]:
    """Open a browser; the test is skipped where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip(
            "no chromium with its chromedriver here: apt-get install chromium chromium-driver"
        )
    options = ChromeOptions()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = Chrome(options=options, service=ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


def visit(driver: Chrome, file: Path, anchor: str = "") -> None:
    """Open a page of the file anew, and wait until its charts are drawn."""
    driver.get("about:blank")
    driver.get(f"{file.as_uri()}#{anchor}")
    settle(driver)


def settle(driver: Chrome) -> None:
    """Wait until the charts of the page that is shown are drawn."""
    await_script(driver, ENDED, "charts are not drawn")


def await_script(driver: Chrome, script: str, otherwise: str) -> None:
    """Wait until a script returns true: a page answers to keys and links when it comes to it."""
    until = time.monotonic() + PATIENCE
    while not driver.execute_script(script):
        assert time.monotonic() < until, f"{otherwise}: {errors(driver)}"
        time.sleep(0.05)


def errors(driver: Chrome) -> list[str]:
    """Return what the console has since it was last asked: errors and warnings."""
    return [
        str(entry["message"])
        for entry in driver.get_log("browser")
        if entry["level"] in ("SEVERE", "WARNING")
    ]


def figures_without_marks(driver: Chrome) -> list[str]:
    """Return the charts of the page that is shown in which nothing is drawn."""
    found: list[str] = driver.execute_script(WITHOUT_MARKS)
    return found


def look(driver: Chrome, width: int, height: int, **media: str) -> None:
    """Let the page be shown on a screen of a size, as a medium, or in a colour scheme."""
    features: list[dict[str, Any]] = [
        {"name": "prefers-color-scheme", "value": media.get("scheme", "light")}
    ]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": media.get("medium", ""), "features": features}
    )
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def dead_links(html: str) -> list[str]:
    """Return the links of a page that lead nowhere: within it, since it has no others."""
    names = set(re.findall(r'\bid="([^"]*)"', html))
    wanted = re.findall(r'<a\b[^>]*\bhref="([^"]*)"', html)
    return [link for link in wanted if not link.startswith("#") or link[1:] not in names]


def network(html: str) -> list[str]:
    """Return what a page would load from elsewhere."""
    return re.findall(r'(?:\bsrc|<link[^>]*\bhref)="((?!data:)[^"]*)"|@import|url\((?!data:)', html)
