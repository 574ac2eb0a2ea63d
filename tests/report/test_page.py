"""What the report is made of: names, links, marks against what is predicted, nothing from elsewhere."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from helpers.browser import dead_links, network
from planted_study import CLAIMS, FAILING, HOSTILE, POWER, UNJUDGED, compared_in, judged_in

from theory_check.analysis import judge_power_rate
from theory_check.analysis.computed_verdicts import judge_curve_rate
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents, Numbers, RateVerdict
from theory_check.analysis.verdict import JUDGES
from theory_check.catalogue import Catalogue
from theory_check.claims.rates import CurveRate, PowerRate, UpperBoundRate
from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.report.contents import text_listing
from theory_check.report.page.charts import COLOURS, SHAPES, chart_of, columns_of, styles
from theory_check.report.page.comparison import comparison_record
from theory_check.report.page.marks import MARGIN, WIDTH, Mark, marks_of, strip
from theory_check.report.page.publish import publish_page
from theory_check.report.page.records import ClaimRecord, records_of, themes
from theory_check.report.page.series import KINDS, MOST_SEEDS, Plot, _choose_scales, plot_of
from theory_check.report.page.symbols import plain
from theory_check.report.page.write import embedded, page, page_of_comparison, write_page
from theory_check.report.verdicts import text_of_sweep
from theory_check.studies import Judgement, Results

Study = tuple[Results, list[Judgement]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return judged_in(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def records(study: Study) -> dict[str, ClaimRecord]:
    return {record.id: record for record in records_of(*study)}


@pytest.mark.slow
def test_the_verdicts_are_those_that_were_planted(records: dict[str, ClaimRecord]) -> None:
    assert {name: record.status for name, record in records.items()} == {
        "line": "tight",
        "line-fails": "violated",
        "control-line": "violated",
        "line-unknown": "not judged",
        "at-most": "tight",
        "bounded": "holds",
        "decays": "holds",
        "enough/3": "holds",
        "attained": "tight",
        "curve": "holds",
        "ratio": "tight",
    }
    assert [name for name, record in records.items() if record.outcome == "fails"] == [FAILING]
    assert records[UNJUDGED].reason == "2 of 2 cells of missing have no result"


@pytest.mark.slow
def test_list_verify_and_the_report_name_each_claim_the_same_way(
    study: Study, records: dict[str, ClaimRecord]
) -> None:
    verified = text_of_sweep(*study).splitlines()
    listed = text_listing(study[0].options.catalogue).splitlines()
    content = page(*study)
    for record in records.values():
        words = record.name.split()
        assert any(line.split()[: len(words)] == words for line in verified)
        assert any(line.split()[: len(words)] == words for line in listed)
        assert f">{record.name}</h1>" in content


@pytest.mark.slow
def test_numbers_and_intervals_are_those_of_the_verdict(
    study: Study, records: dict[str, ClaimRecord]
) -> None:
    for judgement in study[1]:
        record = records[judgement.claim.id]
        if judgement.verdict is None:
            assert record.strip is None
            continue
        assert record.strip is not None
        estimates = {rate.numbers.estimate for rate in judgement.verdict.rates}
        assert {line.mark.found for line in record.strip.lines} == estimates
        assert len(record.evidence) == len(judgement.verdict.rates)
        assert record.figures[0].data["averages"]["y"]


def test_every_kind_of_rate_is_drawn() -> None:
    """One without a drawing would be drawn by its numbers; those that are shipped have their own."""
    assert KINDS.keys() == JUDGES.keys()
    assert {type(rate) for claim in CLAIMS.values() for rate in claim.rates} >= KINDS.keys() - {
        kind for kind in KINDS if kind.__name__ == "BoundRate"
    }


@pytest.mark.slow
def test_a_rate_of_another_kind_is_drawn_without_a_line_of_the_theory(study: Study) -> None:
    @dataclass(frozen=True)
    class OtherRate(PowerRate):
        """A kind that nothing here knows."""

    class OtherNumbers(Numbers):
        estimate = Interval(3.0, 2.0, 4.0)
        predicted = measured = rows = None  # type: ignore[assignment]

    OtherNumbers.__abstractmethods__ = frozenset()
    rate = OtherRate(**{**vars(POWER), "name": "other"})
    verdict = RateVerdict("other", "straight", "holds", "", OtherNumbers())  # type: ignore[abstract]
    plot = plot_of(rate, [verdict], study[0].table("straight"))
    assert plot.averages
    assert plot.observations
    assert not plot.lines
    (mark,) = marks_of(rate, verdict)
    assert mark.found == Interval(3.0, 2.0, 4.0)
    assert math.isnan(mark.stated)


@pytest.mark.slow
def test_averages_and_their_intervals_are_those_of_the_curves(study: Study) -> None:
    table = study[0].table("straight")
    verdict = judge_power_rate(POWER, table, "straight")
    plot = plot_of(POWER, [verdict], table)
    rows = table[table["problem"] == "straight"]
    for problem, x, y, low, high, replicates in plot.averages:
        values = rows.loc[rows["x"] == x, "y"]
        assert problem == "straight"
        assert y == pytest.approx(values.mean())
        assert low < y < high
        assert replicates == len(values) == 8
    theory = np.array([row[2:] for row in plot.lines if row[1] == "theory"])
    # Its slope is the predicted one, and it goes through the average nearest the limit.
    slope = np.diff(np.log(theory[:, 1])) / np.diff(np.log(theory[:, 0]))
    assert slope == pytest.approx(1.0)
    assert theory[0, 1] == pytest.approx(min(plot.averages, key=lambda row: row[1])[2])


def test_starts_on_one_instance_are_no_replicates() -> None:
    """Ten starts on each of two instances, 1 and 3, without other noise: the mean is 2, of 2 units."""
    rows = [
        {"problem": "family", "seed": 10 * instance + start, "instance": instance, "x": x,
         "y": (1.0 + 2.0 * instance) * x}
        for instance in (0, 1) for start in range(10) for x in (1.0, 10.0)
    ]  # fmt: skip
    plot = plot_of(
        POWER, [judge_power_rate(POWER, pd.DataFrame(rows), "family")], pd.DataFrame(rows)
    )
    assert [(row[2], row[5]) for row in plot.averages] == [
        (pytest.approx(2.0), 2),
        (pytest.approx(20.0), 2),
    ]


def test_of_a_statement_about_means_the_ratio_of_means_is_drawn() -> None:
    """Mean 2 under a mean bound of 3, though a seed is above its own, and one has none above 0."""
    rate = CurveRate("mean", "x", "y", "bound", x_symbol="$x$", y_symbol="$y$", average=True)
    found = {"y": [1.0, 2.0, 3.0], "bound": [8.0, 2.0, -1.0]}
    table = pd.DataFrame({"problem": "p", "seed": range(3), "x": 1.0, **found})
    plot = plot_of(rate, [judge_curve_rate(rate, table, "p")], table)
    ((_, x, ratio, low, high, replicates),) = plot.averages
    assert (x, ratio, replicates) == (1.0, pytest.approx(1.5), 3)
    assert 0 < low < 1.5 < high
    assert plot.observations == []


def test_an_interval_that_reaches_0_ends_where_a_logarithmic_axis_does() -> None:
    plot = Plot(
        "rate", "x", "y", averages=[("p", 1.0, 9.0, -2.0, 20.0, 8), ("p", 2.0, 1.0, 0.5, 2.0, 8)]
    )
    _choose_scales(plot)
    assert plot.logarithmic_y
    assert [row[3] for row in plot.averages] == [1.0, 0.5]


@pytest.mark.slow
def test_missed_targets_count_in_the_median(study: Study) -> None:
    """Three of eight seeds miss: the median is that of the eight, and not of the five that are left."""
    claim = CLAIMS["attained"]
    table = study[0].table("straight")
    table = table[table["problem"] == "straight"].copy()
    seeds = sorted(table["seed"].unique())
    table.loc[table["seed"].isin(seeds[:3]) & (table["x"] < 0.011), "inverse"] = np.inf
    plot = plot_of(claim.rates[0], [], table)
    assert not plot.averages
    verdict = RateVerdict("cost", "straight", "tight", "", study[1][0].verdict.rates[0].numbers)  # type: ignore[union-attr]
    plot = plot_of(claim.rates[0], [verdict], table)
    values = np.sort(table.loc[table["x"] < 0.011, "inverse"])
    first = min(plot.averages, key=lambda row: row[1])
    assert first[2] == pytest.approx((values[3] + values[4]) / 2)
    assert math.isinf(first[4])


@pytest.mark.slow
def test_specifications_are_valid(
    study: Study, records: dict[str, ClaimRecord], tmp_path: Path
) -> None:
    """The page leaves the schema out, which takes longer than all of the rest."""
    compared = comparison_record(compared_in(tmp_path))
    assert compared is not None
    figures = [figure for record in records.values() for figure in record.figures]
    for figure in (*figures, *compared.figures):
        assert figure.spec is not None
        alt.Chart.from_dict(figure.spec).to_dict()
        named = {str(name) for name in re.findall(r"'name': '(\w+)'", str(figure.spec))}
        assert figure.data.keys() <= named


@pytest.mark.slow
def test_the_page_needs_no_network_and_its_links_lead_somewhere(
    study: Study, tmp_path: Path
) -> None:
    content = page(*study, ["One."], compared_in(tmp_path))
    own = re.sub(r"<script>.*?</script>", "", content, flags=re.DOTALL)
    assert dead_links(own) == []
    assert network(own) == []
    assert HOSTILE not in content
    assert "&lt;/script&gt;&lt;script&gt;" in content
    assert len(content.encode()) < 8e6


def test_the_page_of_a_comparison_has_all_of_it_and_no_claims(tmp_path: Path) -> None:
    content = page_of_comparison(compared_in(tmp_path))
    assert content is not None
    own = re.sub(r"<script>.*?</script>", "", content, flags=re.DOTALL)
    assert dead_links(own) == []
    assert network(own) == []
    assert re.findall(r'<section class="page" id="([^"]*)"', own) == ["comparison", "numbers"]
    assert "<li>Compared: 3 methods on 2 problems.</li>" in own
    assert f"theory-check report --store {tmp_path / 'store'}" in own
    for name in ("samples", "standings", "tuning"):
        assert f"<summary>{name}: " in own


@pytest.mark.slow
def test_what_claims_say_together_is_a_page_that_is_linked_from_the_first_screen(
    study: Study,
) -> None:
    whole = page(*study, ["First sentence.", "Second."])
    own = whole[whole.index('<section class="page" id="across"') :]
    assert "<li>First sentence.</li><li>Second.</li>" in own[: own.index("</section>")]
    first_screen = whole[whole.index('id="failing"') : whole.index('id="filters"')]
    assert '<a href="#across">' in first_screen
    assert "across" not in page(*study)


def test_a_planted_link_and_a_planted_script_from_elsewhere_are_seen() -> None:
    assert dead_links('<p id="a"><a href="#a">x</a><a href="#b">y</a><a href="c.html">') == [
        "#b",
        "c.html",
    ]
    assert len(network('<script src="https://x"></script><link rel="stylesheet" href="y">')) == 2
    assert network('<link rel="icon" href="data:,">') == []


def test_words_that_repeat_are_told_once_and_numbers_have_few_digits() -> None:
    columns = columns_of(("who", "x"), [("a", 1 / 3), ("b", 2.0), ("a", math.inf)])
    assert columns == {"who": {"words": ["a", "b"], "at": [0, 1, 0]}, "x": [0.33333, 2, None]}
    seeds = columns_of(("seed",), [(seed,) for seed in [123456789, None] * 4])
    assert seeds == {"seed": {"words": [123456789, None], "at": [0, 1] * 4}}
    assert columns_of(("who",), []) == {"who": []}


def test_data_end_no_element() -> None:
    assert embedded({"a": "</script><!--\u2028&"}) == (
        '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028\\u0026"}'
    )


def test_themes_are_the_files_in_which_claims_stand() -> None:
    found = themes(Catalogue.shipped())
    assert found.keys() == Catalogue.shipped().claims.keys()
    assert found["attained-3"] == "sample complexity"
    assert found["penalty-bias"] == "bias"


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (r"$\|\nabla\Phi\|^2$, mean of the second half", "‖∇Φ‖², mean of the second half"),
        (r"$1/\sigma$", "1/σ"),
        (r"$\mathbb{E}\|\hat g - \mathbb{E}\hat g\|^2$", "E‖ĝ − Eĝ‖²".replace("ĝ", "g\u0302")),
        (r"$(T\varepsilon)^{-1}\,\sum_{t\leq T}$", "(Tε)⁻¹ Σ_(t≤ T)"),
        ("seconds", "seconds"),
    ],
)
def test_symbols_are_text(symbol: str, text: str) -> None:
    assert plain(symbol) == text


def test_no_symbol_of_a_claim_leaves_mathtext_behind() -> None:
    for claim in Catalogue.shipped().claims.values():
        for rate in claim.rates:
            for symbol in (rate.x_symbol, rate.y_symbol):
                assert not re.search(r"[\\${}]", plain(symbol)), symbol


def test_intervals_lie_on_one_axis() -> None:
    """Of [1, 3] around 2, with 4 predicted and [3.5, 4.5] allowed: in that order, from edge to edge."""
    drawn = strip([Mark("p, r", Interval(2.0, 1.0, 3.0), 4.0, 3.5, 4.5, "violated")])
    assert drawn is not None
    (line,) = drawn.lines
    places = [
        line.low,
        line.at,
        line.high,
        line.allowed,
        line.stated,
        line.allowed + line.allowed_width,
    ]
    assert places == sorted(places)  # type: ignore[type-var]
    assert places[0] >= MARGIN
    assert places[-1] <= WIDTH - MARGIN
    assert np.diff(places[:3]) == pytest.approx([places[1] - places[0]] * 2, abs=0.2)
    assert "measured 2 [1, 3], predicted 4, agrees from 3.5 to 4.5; violated" in line.text
    assert strip([]) is None


def test_what_agrees_with_a_bound_has_one_side() -> None:
    numbers = Exponents(1.0, Interval(1.3, 1.2, 1.4))
    verdict = RateVerdict("gradient", "p", "holds", "", numbers)
    (both,) = marks_of(POWER, verdict)
    assert (both.low, both.high) == pytest.approx((0.9, 1.1))
    (bound,) = marks_of(UpperBoundRate(**vars(POWER)), verdict)
    assert (bound.low, bound.high) == (0.9, math.inf)
    (mirrored,) = marks_of(UpperBoundRate(**{**vars(POWER), "better": "smaller"}), verdict)
    assert (mirrored.low, mirrored.high) == (-math.inf, 1.1)


def test_series_differ_in_colour_or_shape() -> None:
    names = [str(number) for number in range(len(COLOURS) * len(SHAPES))]
    colours, shapes = styles(names)
    assert len(set(zip(colours, shapes, strict=True))) == len(names)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_both_colour_schemes() -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = Path(plain.__code__.co_filename).parent / "templates" / "style.css"
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style.read_text())
    colours = {name: ends for name, *ends in pairs}
    for at in (0, 1):
        for name in ("ink", "soft", "link", "good", "bad", "open"):
            for ground in ("paper", "raised"):
                assert contrast(colours[name][at], colours[ground][at]) >= 4.5, (name, at)
        for colour in COLOURS:
            assert contrast(colour, colours["paper"][at]) >= 3, (colour, at)


def test_seeds_beyond_the_drawn_ones_are_told() -> None:
    rows = [
        {"problem": "p", "seed": seed, "x": x, "y": x}
        for seed in range(MOST_SEEDS + 4)
        for x in np.geomspace(0.01, 1, 5)
    ]
    plot = plot_of(POWER, [judge_power_rate(POWER, pd.DataFrame(rows), "p")], pd.DataFrame(rows))
    assert plot.left_out == 4
    assert {row[3] for row in plot.observations} == set(range(MOST_SEEDS))
    assert all(row[5] == MOST_SEEDS + 4 for row in plot.averages)
    assert chart_of(plot)[0]["config"]["background"] == "transparent"


def test_the_cheapest_of_each_problem_is_the_planted_one(tmp_path: Path) -> None:
    """At 0.003 of the hill b fails, so that a, at 100/0.003, is the cheapest that is left."""
    record = comparison_record(compared_in(tmp_path))
    assert record is not None
    assert [(each.problem, each.target, each.method) for each in record.cheapest] == [
        ("hill", "0.003", "Method a"),
        ("dale", "0.03", "Method a"),
    ]


@pytest.mark.slow
def test_a_page_of_named_claims_is_about_these_alone(study: Study, tmp_path: Path) -> None:
    options = study[0].options
    told: list[str] = []
    file = tmp_path / "report.html"
    read = publish_page(tmp_path, options, told.append, names=["line", "control-line"])
    assert told == [f"wrote {file}"]
    # The two cells of `straight`, and the two of `bent`: `missing` is the evidence of neither.
    assert (len(read.reused), len(read.absent)) == (4, 0)
    text = file.read_text(encoding="utf-8")
    assert [name for name in CLAIMS if f'data-id="{name}"' in text] == ["line", "control-line"]

    told.clear()
    publish_page(tmp_path, options, told.append, names=["line-unknown"])
    assert told[0] == "2 cells have no result: theory-check verify line-unknown runs them"
    with pytest.raises(InvalidArgumentError, match="line-fails"):
        publish_page(tmp_path, options, told.append, names=["line-fail"])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="pass another file with --output"):
        write_page(tmp_path / "file" / "report.html", "")
