"""The report in a real browser: nothing fails, filters filter, charts have marks and follow a choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import (
    PATIENCE,
    await_script,
    chromium,
    dead_links,
    errors,
    figures_without_marks,
    look,
    settle,
    visit,
)
from planted_study import CAUGHT, CLAIMS, FAILING, THEMES, UNJUDGED, compared_in, judged_in
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from theory_check.report.page import records
from theory_check.report.page.write import page, page_of_comparison

pytestmark = pytest.mark.slow

POINT = """
const box = arguments[0].getBoundingClientRect();
const at = {bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
for (const name of ['pointerover', 'pointermove', 'mousemove'])
  arguments[0].dispatchEvent(new PointerEvent(name, at));"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the planted study and the planted comparison."""
    folder = tmp_path_factory.mktemp("report")
    results, judgements = judged_in(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "themes", lambda catalogue: THEMES)
        content = page(results, judgements, ["A conclusion."], compared_in(folder))
    file = folder / "report.html"
    file.write_text(content, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def opened() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def driver(opened: Chrome) -> Chrome:
    look(opened, 1280, 900)
    errors(opened)
    return opened


def shown(driver: Chrome) -> list[str]:
    """Return the claims whose rows can be seen."""
    rows = driver.find_elements(By.CSS_SELECTOR, "#table tbody tr")
    return [str(row.get_attribute("data-id")) for row in rows if row.is_displayed()]


def test_every_page_is_drawn_without_an_error(driver: Chrome, report: Path) -> None:
    charts = 0
    for anchor in ("", "comparison", "numbers", *(f"claim/{name}" for name in CLAIMS)):
        visit(driver, report, anchor)
        assert figures_without_marks(driver) == [], anchor
        charts += len(driver.find_elements(By.CSS_SELECTOR, "section.page:not([hidden]) .chart"))
        assert errors(driver) == [], anchor
        assert driver.title != "taken over"
    # One for each claim with a verdict, and three of the comparison.
    assert charts == len(CLAIMS) - 1 + 3


def test_a_comparison_alone_is_drawn_and_follows_its_choice(driver: Chrome, tmp_path: Path) -> None:
    content = page_of_comparison(compared_in(tmp_path))
    assert content is not None
    file = tmp_path / "compared.html"
    file.write_text(content, encoding="utf-8")
    for anchor in ("", "numbers", "comparison"):
        visit(driver, file, anchor)
        assert figures_without_marks(driver) == [], anchor
        assert errors(driver) == [], anchor
    assert len(driver.find_elements(By.CSS_SELECTOR, "section.page:not([hidden]) .chart")) == 3
    # Of the hill at its smallest accuracy, as the page with the claims says too.
    assert "needs the fewest samples" in driver.find_element(By.ID, "answer").text


@pytest.mark.parametrize(
    ("defect", "replacement", "seen"),
    [
        # A field that the data do not have: the axes are drawn, the marks are not.
        ('"field":"y"', '"field":"nothing"', "marks or console"),
        ('"use strict";', '"use strict"; console.error("planted");', "console"),
        ("vegaEmbed(box", "vegaEmbd(box", "not drawn"),
    ],
)
def test_a_planted_defect_of_the_page_is_seen(
    driver: Chrome, report: Path, tmp_path: Path, defect: str, replacement: str, seen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    content = report.read_text(encoding="utf-8")
    assert defect in content
    broken = tmp_path / "broken.html"
    broken.write_text(content.replace(defect, replacement), encoding="utf-8")
    monkeypatch.setattr("helpers.browser.PATIENCE", 3.0)
    if seen == "not drawn":
        with pytest.raises(AssertionError, match="charts are not drawn"):
            visit(driver, broken, "claim/line")
        return
    visit(driver, broken, "claim/line")
    found = errors(driver)
    assert found if seen == "console" else found or figures_without_marks(driver)


def test_the_filters_leave_what_fits(driver: Chrome, report: Path) -> None:
    visit(driver, report)
    everything = shown(driver)
    assert everything == sorted(CLAIMS)
    form = driver.find_element(By.ID, "filters")

    def choose(name: str, value: str) -> list[str]:
        Select(form.find_element(By.NAME, name)).select_by_visible_text(value)
        return shown(driver)

    def everything_again() -> None:
        form.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
        assert shown(driver) == everything

    assert choose("status", "fails") == [FAILING]
    assert driver.find_element(By.ID, "shown").text == f"1 of {len(CLAIMS)} claims"
    assert choose("status", "violated") == sorted([FAILING, CAUGHT])
    everything_again()
    assert choose("status", "not judged") == [UNJUDGED]
    everything_again()
    assert choose("theme", "lines") == sorted(n for n in THEMES if THEMES[n] == "lines")
    assert choose("problem", "bent") == sorted([FAILING, CAUGHT])
    everything_again()
    words = form.find_element(By.NAME, "words")
    # Found by its name, and by that of the claim whose bound it is about.
    words.send_keys("enough/3")
    assert shown(driver) == ["attained", "enough/3"]
    words.send_keys(" nowhere")
    assert shown(driver) == []
    everything_again()
    driver.find_element(By.CSS_SELECTOR, "button.count[data-status=violated]").click()
    assert shown(driver) == sorted([FAILING, CAUGHT])


def test_a_newcomer_is_answered_by_the_first_screen(driver: Chrome, report: Path) -> None:
    visit(driver, report)
    height = 900
    answers = {
        "failing": [
            f"1 of {len(CLAIMS)}",
            FAILING,
            "1 cannot be judged",
            "1 are negative controls",
        ],
        "cheapest": ["hill", "dale", "Method a", "all others tied, or do not reach it"],
        "origin": ["stored results", "[S] stated by a secondary source"],
    }
    for card, words in answers.items():
        element = driver.find_element(By.ID, card)
        assert element.rect["y"] + 60 < height
        for word in words:
            assert word in element.text, card
    row = driver.find_element(By.CSS_SELECTOR, "tr[data-id='enough/3']")
    assert "holds" in row.text
    assert "growth <= 0.125, ratio <= 2" in row.text


def test_pointing_at_a_mark_tells_seed_settings_and_interval(driver: Chrome, report: Path) -> None:
    visit(driver, report, "claim/line")
    told = []
    for layer in driver.find_elements(By.CSS_SELECTOR, "figure svg g.mark-symbol.role-mark"):
        mark = layer.find_element(By.TAG_NAME, "path")
        # At the mark itself, whatever lies above it.
        driver.execute_script(POINT, mark)
        box = WebDriverWait(driver, PATIENCE).until(
            lambda shown: shown.find_element(By.CSS_SELECTOR, "#vg-tooltip-element.visible")
        )
        told.append(str(box.get_attribute("textContent")))
    assert any("seed" in text and "sigma" in text and "trajectories" in text for text in told)
    assert any("interval from" in text and "replicates" in text for text in told)
    assert errors(driver) == []


def test_a_problem_of_a_chart_can_be_chosen(driver: Chrome, report: Path) -> None:
    visit(driver, report, "claim/line")
    marks = (
        "return document.querySelectorAll('#title\\\\/line ~ figure svg .mark-symbol.role-mark path')"
        ".length"
    )
    before = driver.execute_script(marks)
    Select(
        driver.find_element(By.CSS_SELECTOR, "[id='claim/line'] .vega-bindings select")
    ).select_by_value("straight")
    # Two problems have equally many points.
    for _ in range(100):
        if 2 * driver.execute_script(marks) == before:
            break
    assert 2 * driver.execute_script(marks) == before > 0


def test_the_comparison_follows_the_choice(driver: Chrome, report: Path) -> None:
    visit(driver, report, "comparison")
    form = driver.find_element(By.ID, "choice")
    Select(form.find_element(By.NAME, "problem")).select_by_visible_text("hill")
    Select(form.find_element(By.NAME, "target")).select_by_visible_text("0.1")

    def ranking() -> list[list[str]]:
        rows = driver.find_elements(By.CSS_SELECTOR, "#ranking tbody tr")
        return [
            [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows
        ]

    # By hand: a needs 100 / 0.1 samples in the median, b ten times fewer.
    found = ranking()
    assert [row[0] for row in found] == ["Method b", "Method a", "Method c"] or [
        row[0] for row in found
    ] == ["Method b", "Method c", "Method a"]
    assert float(found[0][1]) == pytest.approx(100, rel=0.05)
    assert "Method b needs the fewest samples" in driver.find_element(By.ID, "answer").text
    Select(form.find_element(By.NAME, "target")).select_by_visible_text("0.003")
    (failed,) = [row for row in ranking() if row[0] == "Method b"]
    assert failed[1].startswith("more than")
    assert failed[3] == "0 of 16"
    form.find_element(By.CSS_SELECTOR, "input[value=a]").click()
    assert "Method a" not in [row[0] for row in ranking()]
    Select(form.find_element(By.NAME, "problem")).select_by_visible_text("dale")
    # An accuracy that was not tried on the dale is no longer chosen.
    assert float(str(form.find_element(By.NAME, "target").get_attribute("value"))) in (
        0.3,
        0.1,
        0.03,
    )
    settle(driver)
    assert errors(driver) == []


def test_it_fits_a_telephone_and_paper_in_both_colours(driver: Chrome, report: Path) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        for anchor in ("", "claim/line", "comparison", "numbers"):
            look(driver, 390, 844, scheme=scheme)
            visit(driver, report, anchor)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= 390, (
                anchor
            )
        colours.add(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
    for width, medium in ((820, ""), (1060, ""), (794, "print")):
        for anchor in ("", "claim/line", "numbers"):
            look(driver, width, 1123, medium=medium)
            visit(driver, report, anchor)
            wide = driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, (anchor, width, medium)
    look(driver, 794, 1123, medium="print", scheme="dark")
    visit(driver, report, "claim/line")
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    assert not driver.find_element(By.TAG_NAME, "header").is_displayed()
    assert figures_without_marks(driver) == []


def test_it_is_used_with_the_keyboard(driver: Chrome, report: Path) -> None:
    visit(driver, report)
    driver.execute_script("document.querySelector('a[href=\"#claim/line\"]').focus()")
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    # The title has the focus, so that a screen reader says what is shown.
    focused = "return document.activeElement.id === 'title/line'"
    await_script(driver, focused, "the title of the claim has no focus")
    settle(driver)
    button = driver.find_element(By.ID, "theme")
    before = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    button.send_keys(Keys.ENTER)
    changed = f"return getComputedStyle(document.body).backgroundColor !== '{before}'"
    await_script(driver, changed, "the button changes no colours")


def test_who_does_not_see_is_told(driver: Chrome, report: Path) -> None:
    """Every control has a name, and every drawing says in words what it shows."""
    visit(driver, report, "claim/line")
    unnamed = driver.execute_script(
        "return [...document.querySelectorAll('select, input, button')]"
        ".filter(c => !(c.labels?.length || c.textContent.trim() || c.getAttribute('aria-label')))"
        ".map(c => c.outerHTML)"
    )
    assert unnamed == []
    drawings = driver.find_elements(By.CSS_SELECTOR, "svg.strip, section:not([hidden]) .chart svg")
    assert drawings
    for drawing in drawings:
        words = drawing.get_attribute("aria-label") or drawing.find_element(
            By.XPATH, "ancestor::figure//*[@aria-label][1]"
        ).get_attribute("aria-label")
        assert words
    content = report.read_text(encoding="utf-8")
    assert dead_links(content) == []
