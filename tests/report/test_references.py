"""The bibliography agrees with what the theory and the docstrings cite, in both directions."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from theory_check.report.export import BIBLIOGRAPHY

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"\b\d{4}\.\d{5}\b"
NAMES = r"(?:[A-Z]\w+(?:,? and|,) )*[A-Z]\w+"


def texts() -> dict[str, str]:
    """Return all that may cite: the package, its experiments and figures, and the documentation."""
    rooms = ("theory_check", "experiments", "paper_figures", "study_template", "docs")
    files = [path for room in rooms for path in (ROOT / room).rglob("*")]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in (".py", ".md", ".toml")
    }


def plain(text: str) -> str:
    """Return text without the braces and accents of BibTeX, or those of letters."""
    text = re.sub(r"\\.\{(\w)\}", r"\1", text)
    text = unicodedata.normalize("NFKD", text)
    accents = {ord(each): None for each in set(text) if unicodedata.combining(each)}
    return " ".join(re.sub(r"[{}\\'`]", "", text.translate(accents)).split())


def entries() -> dict[str, dict[str, str]]:
    """Return the fields of every entry by its key."""
    found = {}
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    for part in re.split(r"^@\w+\{", text, flags=re.MULTILINE)[1:]:
        key, _, body = part.partition(",")
        fields = re.findall(r"(\w+) = \{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", body)
        found[key] = {name: plain(value) for name, value in fields}
    return found


def surnames(entry: dict[str, str]) -> list[str]:
    """Return the surnames of an entry, without ``others``."""
    authors = [each.partition(",")[0].strip() for each in entry.get("author", "").split(" and ")]
    return [each for each in authors if each not in ("", "others")]


def names_in(text: str) -> list[str]:
    return re.findall(r"[A-Z]\w+(?:-\w+)?", re.sub(r"\bet al\.?|\band\b", "", text))


ENTRIES, TEXTS = entries(), texts()
PLAIN = {name: plain(text) for name, text in TEXTS.items()}


def test_what_is_cited_has_an_entry_and_no_entry_is_left_over() -> None:
    cited = {number for text in TEXTS.values() for number in re.findall(NUMBER, text)}
    known = {key.removeprefix("arxiv-") for key in ENTRIES if key.startswith("arxiv-")}
    assert len(cited) > 20
    assert sorted(cited - known) == []
    assert sorted(known - cited) == []


@pytest.mark.parametrize("key", [key for key in ENTRIES if not key.startswith("arxiv-")])
def test_an_entry_without_a_number_is_cited_by_its_authors(key: str) -> None:
    """By the first author, and soon after by the second one, by ``et al.``, by the year or the title."""
    entry = ENTRIES[key]
    first, *others = surnames(entry)
    signs = [*others[:1], r"et al\.", entry["year"], re.escape(entry["title"][:20])]
    sought = re.compile(rf"\b{first}\b.{{0,120}}?(?:{'|'.join(signs)})", re.DOTALL | re.IGNORECASE)
    assert [name for name, text in PLAIN.items() if sought.search(text)]


def test_titles_that_are_quoted_are_those_of_the_entries() -> None:
    quoted = 0
    for key, entry in ENTRIES.items():
        for name, text in PLAIN.items():
            sought = rf'\b{surnames(entry)[0]}\b[^".]{{0,40}}"([^"]+)"' if surnames(entry) else "$^"
            for title in re.findall(sought, text):
                ours = [
                    each["title"].lower()
                    for each in ENTRIES.values()
                    if "title" in each and surnames(each)[0] == surnames(entry)[0]
                ]
                if len(title.split()) > 2:
                    assert any(each.startswith(title.lower().rstrip(",")) for each in ours), (
                        f"{name}: {title!r} is not the title of {key}"
                    )
                    quoted += 1
    assert quoted >= 3


def test_authors_before_a_number_are_those_of_its_entry() -> None:
    everybody = {each for entry in ENTRIES.values() for each in surnames(entry)}
    checked = 0
    for name, text in PLAIN.items():
        found = re.findall(rf"({NAMES})(?: et al\.)?,? \(?(?:arXiv )?({NUMBER})", text)
        for people, number in found:
            words = names_in(people)
            if words[0] in everybody:
                ours = surnames(ENTRIES[f"arxiv-{number}"])
                assert set(words) <= set(ours), f"{name}: {people} {number}, entry has {ours}"
                checked += 1
    assert checked >= 20


def rows_of_references() -> list[str]:
    section = (ROOT / "docs/theory.md").read_text(encoding="utf-8").partition("## 9. References")[2]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return [plain(row) for row in rows[1:]]


@pytest.mark.parametrize("row", [row for row in rows_of_references() if re.search(NUMBER, row)])
def test_a_row_of_the_references_has_the_authors_of_its_entry(row: str) -> None:
    """All of them in their order, or the first ones and ``et al.``; nobody in neither."""
    people, number, _ = re.split(f"({NUMBER})", row, maxsplit=1)
    named = names_in(people.replace("arXiv", ""))
    ours = surnames(ENTRIES[f"arxiv-{number}"])
    assert named == (ours[: len(named)] if "et al." in people else ours)


def test_no_source_is_listed_twice() -> None:
    numbers = [each for row in rows_of_references() for each in re.findall(NUMBER, row)]
    assert sorted({each for each in numbers if numbers.count(each) > 1}) == []
