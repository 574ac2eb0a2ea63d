"""The site as ``make docs`` builds it: no warning, no dead link, no network, a search that finds."""

from __future__ import annotations

import importlib.util
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers.browser import PATIENCE, chromium, errors
from helpers.fresh import printed_by
from helpers.pages import ROOT
from selenium.webdriver import Chrome

import theory_check as tc
from theory_check.catalogue import Catalogue

NEEDED = ("sphinx", "pydata_sphinx_theme", "numpydoc", "myst_nb")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

FOUND = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.names.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        # Pages that a browser goes to when asked, as a search engine does, are no part of this one.
        elif tag == "link" and given.get("rel") not in (
            "index",
            "search",
            "next",
            "prev",
            "canonical",
        ):
            self.loads.append(given.get("href", ""))
        elif "src" in given:
            self.loads.append(given["src"])


def pages_of(site: Path) -> dict[Path, Page]:
    """Return the pages of a site by their files."""
    return {
        file: Page(file) for file in sorted(site.rglob("*.html")) if "_static" not in file.parts
    }


def dead_links(pages: dict[Path, Page]) -> list[str]:
    """Return the links within a site that lead to no file, or to no place on its page."""
    found = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            placed = not anchor or target not in pages or anchor in pages[target].names
            if not target.exists() or not placed:
                found.append(f"{file.name}: {link}")
    return found


def from_elsewhere(pages: dict[Path, Page]) -> list[str]:
    """Return what the pages of a site load that is no file beside them."""
    return [
        f"{file.name}: {loaded}"
        for file, page in pages.items()
        for loaded in page.loads
        if urlsplit(loaded).scheme not in ("", "data") or loaded.startswith("//")
    ]


def test_planted_links_and_loads_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">x</a><a href="b.html#gone">x</a><a href="c.html">x</a>'
        '<a href="https://example.org">x</a><script src="https://example.org/a.js"></script>'
        '<link rel="stylesheet" href="//example.org/a.css"><img src="data:,"><img src="b.png">'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    pages = pages_of(tmp_path)
    assert dead_links(pages) == ["a.html: b.html#gone", "a.html: c.html"]
    assert from_elsewhere(pages) == [
        "a.html: https://example.org/a.js",
        "a.html: //example.org/a.css",
    ]


def missing_names(site: Path) -> list[str]:
    """Return the public names, and the measurements, that the reference has not."""
    rooms = ("problems", "models", "solvers", "analysis")
    wanted = {"public": {f"theory_check.{name}" for name in tc.__all__ if name not in rooms}}
    for room in rooms:
        wanted[room] = {f"theory_check.{room}.{name}" for name in getattr(tc, room).__all__}
    kinds = Catalogue.shipped().measurements.values()
    wanted["measurements"] = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
    return [
        f"api/{page}: {name}"
        for page, names in wanted.items()
        for name in sorted(names - Page(site / "api" / f"{page}.html").names)
    ]


def found_by_search(site: Path, driver: Chrome, words: str, page: str) -> None:
    """Search for words as a reader does who opened a file, until a page is among what is found."""
    driver.get(f"{(site / 'search.html').as_uri()}?q={words}")
    until = time.monotonic() + PATIENCE
    found: list[str] = []
    while not any(f"/{page}" in link for link in found):
        assert time.monotonic() < until, f"{words} finds only {found}, {errors(driver)}"
        time.sleep(0.1)
        found = driver.execute_script(FOUND)


def disconnect(driver: Chrome) -> None:
    """Cut the browser off, so that what a page wants from the network is an error of its console."""
    driver.execute_cdp_cmd("Network.enable", {})
    conditions = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    """One test, since its parts would each build the site on another process of the tests."""
    if MISSING:
        pytest.skip(f"no {', '.join(MISSING)} here: pip install 'theory-check[docs]'")
    site = tmp_path / "html"
    # Cells are executed, and what they print is looked at, by tests/docs/test_tutorials.py.
    untold = ("-D", "nb_execution_mode=off")
    words = ("-T", "-q", "-W", "--keep-going", *untold, "-d", str(tmp_path / "doctrees"))
    program = Path(__file__).with_name("build_site.py")
    printed_by(program, *words, str(ROOT / "docs"), str(site), folder=tmp_path)
    pages = pages_of(site)
    assert len(pages) > 30
    assert dead_links(pages) == []
    assert from_elsewhere(pages) == []
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(@import\s+|url\()[\"']?(https?:)?//", text), style
    assert missing_names(site) == []
    compared = (site / "comparison" / "index.html").read_text(encoding="utf-8")
    written = (ROOT / "docs" / "comparison" / "findings.md").read_text(encoding="utf-8")
    for sentence in written.splitlines():
        assert sentence.removeprefix("* ")[:60] in compared
    wanting = tmp_path / "wanting.html"
    wanting.write_text('<script src="https://example.org/a.js"></script>')
    with chromium() as driver:
        disconnect(driver)
        driver.get(wanting.as_uri())
        assert [error for error in errors(driver) if "example.org/a.js" in error]
        for sought, page in (
            ("penalty-bias", "theory.html"),
            ("hypergradient", "api/public.html"),
            ("referee", "verdicts.html"),
        ):
            found_by_search(site, driver, sought, page)
            assert errors(driver) == []
        for name in ("index", "get-started", "tutorials/check-your-own-rate", "api/public"):
            driver.get((site / f"{name}.html").as_uri())
            assert errors(driver) == [], name
