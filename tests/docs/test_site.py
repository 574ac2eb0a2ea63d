"""The site as ``make docs`` builds it: no warning, no dead link, no network, a search that finds."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers.browser import PATIENCE, chromium, errors
from helpers.pages import ROOT
from selenium.webdriver import Chrome

import theory_check as tc

NEEDED = ("sphinx", "pydata_sphinx_theme", "numpydoc", "myst_nb")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

FOUND = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
LOADED = "return performance.getEntriesByType('resource').map(entry => entry.name)"


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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does; the build fails on a warning, and on a cell that fails."""
    if MISSING:
        pytest.skip(f"no {', '.join(MISSING)} here: pip install 'theory-check[docs]'")
    folder = tmp_path_factory.mktemp("site")
    words = (
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(folder / "doctrees"),
        "docs",
        str(folder / "html"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return pages_of(site)


@pytest.mark.slow
def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    assert dead_links(pages) == []


@pytest.mark.slow
def test_nothing_is_named_that_comes_from_the_network(site: Path, pages: dict[Path, Page]) -> None:
    assert from_elsewhere(pages) == []
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert "url(http" not in text, style
        assert "url(//" not in text, style
        assert not re.search(r"@import\s+(url\()?[\"']?(https?:)?//", text), style


@pytest.mark.slow
def test_the_reference_has_every_public_name(site: Path, pages: dict[Path, Page]) -> None:
    rooms = ("problems", "models", "solvers", "analysis")
    names = Page(site / "api" / "public.html").names
    assert {f"theory_check.{name}" for name in tc.__all__ if name not in rooms} <= names
    for room in rooms:
        there = Page(site / "api" / f"{room}.html").names
        public = set(getattr(tc, room).__all__)
        assert {name for name in public if f"theory_check.{room}.{name}" not in there} == set(), (
            room
        )


@pytest.mark.slow
def test_a_page_has_the_findings_of_the_comparison(site: Path) -> None:
    page = (site / "comparison" / "index.html").read_text(encoding="utf-8")
    written = (ROOT / "docs" / "comparison" / "findings.md").read_text(encoding="utf-8")
    for sentence in written.splitlines():
        assert sentence.removeprefix("* ")[:60] in page


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with chromium() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "page"), [("penalty-bias", "theory.html"), ("hypergradient", "api/public.html")]
)
def test_the_search_finds_without_a_network(
    site: Path, driver: Chrome, words: str, page: str
) -> None:
    errors(driver)
    driver.get(f"{(site / 'search.html').as_uri()}?q={words}")
    until = time.monotonic() + PATIENCE
    found: list[str] = []
    while not any(f"/{page}" in link for link in found):
        assert time.monotonic() < until, f"only {found}, {errors(driver)}"
        time.sleep(0.1)
        found = driver.execute_script(FOUND)
    assert errors(driver) == []
    assert [name for name in driver.execute_script(LOADED) if not name.startswith("file:")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["index.html", "get-started.html", "theory.html", "api/public.html"]
)
def test_a_browser_loads_files_only(site: Path, driver: Chrome, name: str) -> None:
    errors(driver)
    driver.get((site / name).as_uri())
    assert errors(driver) == []
    loaded = driver.execute_script(LOADED)
    assert loaded
    assert [resource for resource in loaded if not resource.startswith(("file:", "data:"))] == []
