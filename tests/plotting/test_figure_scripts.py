"""What single scripts of ``paper_figures/`` show, on planted results."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from theory_check.analysis.audits import AuditFinding, Constant
from theory_check.analysis.verdict import judge
from theory_check.catalogue import Catalogue
from theory_check.report.figures import SIGNATURE, load_drawing

SCRIPTS = Path(__file__).resolve().parents[2] / "paper_figures"


def script(name: str) -> ModuleType:
    return load_drawing(SCRIPTS / f"{name}.py", SIGNATURE)


def assert_apart(figure: Figure) -> None:
    """Refuse a legend or a title that touches an axis label, or leaves a figure one column wide."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [axes.xaxis.label, axes.yaxis.label]
        above = [axes.title, axes._left_title]  # type: ignore[attr-defined]
        for text in above:
            assert text.get_window_extent().x1 <= figure.bbox.x1
        legend = axes.get_legend()
        for other in [*above, *([] if legend is None else [legend])]:
            for label in labels:
                if label.get_text() and (other not in above or other.get_text()):
                    assert not label.get_window_extent().overlaps(other.get_window_extent())


@pytest.mark.slow
def test_penalty_bias_keeps_legends_and_labels_apart() -> None:
    sigmas = np.geomspace(1e-3, 0.05, 9)
    rows = [
        {"problem": f"problem-{problem}", "seed": seed, "sigma": sigma, "status": "ok"}
        | dict.fromkeys(("gradient_bias", "value_bias"), (1 + problem + seed / 10) * sigma)
        for problem in range(6)
        for seed in range(4)
        for sigma in sigmas
    ]
    verdict = judge(Catalogue.shipped().claim("penalty-bias"), pd.DataFrame(rows))
    figure = script("penalty_bias").draw({"penalty-bias": verdict}, {})
    assert_apart(figure)
    assert figure.axes[0].get_title(loc="left") == "gradient\npenalty-bias: tight"
    pyplot.close(figure)


@pytest.mark.slow
def test_every_audited_problem_has_its_line_and_every_number_the_level_that_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one whose first audit has no constant, such as an error bound that was not reached."""

    def planted(audit: object, rows: pd.DataFrame, problem: str) -> AuditFinding:
        name = str(getattr(audit, "id", ""))
        absent = problem == "flat" and name == "error-bound"
        constants = () if absent else (Constant(0.1, 0.05, 0.2, "mu", 0.05),) * 3
        status = "undecided" if absent else "not met" if problem == "steep" else "met"
        return AuditFinding(name, problem, status, "", constants)  # type: ignore[arg-type]

    module = script("audits")
    monkeypatch.setattr(module, "audit_problem", planted)
    problems = ("round", "flat", "steep")
    tables = {
        name: pd.DataFrame({"problem": [problem]})
        for name, problem in zip(module.EXPERIMENTS, problems, strict=True)
    }
    figure = module.draw({}, tables)
    # A line of each panel for every problem, named at the left of every row of panels.
    for axes in figure.axes[::3]:
        assert [label.get_text() for label in axes.get_yticklabels()] == list(problems)
    # Six audits: one has no constant, all of one problem are not met.
    assert figure.get_suptitle().startswith("Audits: 11 met, 6 not met, 1 undecided;")
    labels = " ".join(axes.get_xlabel() for axes in figure.axes)
    assert "dotted: at most 1.1" in labels
    assert "dotted: at least 0.001" in labels
    assert "step times it: below 2" in labels
    assert_apart(figure)
    pyplot.close(figure)


@pytest.mark.slow
def test_violations_of_gradient_domination_are_drawn_above_all_others() -> None:
    """One held-out iterate of one run breaks the inequality, by a gradient of 0."""
    claim = Catalogue.shipped().claim("weak-gradient-domination")
    rows = pd.DataFrame(
        [
            {"problem": problem, "seed": seed, "half": half, "level": level, "iteration": step}
            | {"initial_scale": scale, "gap": 1.0 / (1 + step), "floor": 0.01, "bound": 2.01}
            for problem in ("garnet", "bandit")
            for seed in range(8)
            for half in ("measured", "held out")
            for level in ("lower", "upper")
            for scale in (1.0, 4.0)
            for step in range(5)
        ]
    )
    broken = (rows["problem"] == "garnet") & (rows["seed"] == 3) & (rows["half"] == "held out")
    broken &= (rows["level"] == "lower") & (rows["initial_scale"] == 4.0) & (rows["iteration"] == 4)
    rows.loc[broken, "bound"] = 0.01
    rows["share_of_bound"] = rows["gap"] / rows["bound"]
    figure = script("weak_gradient_domination").draw(
        {claim.id: judge(claim, rows)}, {claim.experiment: rows}
    )
    counts = [axes.get_title(loc="left").partition("\n")[2] for axes in figure.axes]
    none, one = "above: 0 of 80, in 0 of 16 runs", "above: 1 of 80, in 1 of 16 runs"
    assert counts == [none, none, one, none]
    (drawn,) = [
        line
        for axes in figure.axes
        for line in axes.lines
        if line.get_markeredgecolor() == "black" and len(line.get_xydata())
    ]
    np.testing.assert_allclose(drawn.get_xydata(), [[1e-3, 0.2]])
    axes = figure.axes[2]
    assert "garnet" in [text.get_text() for text in axes.texts]
    others = [line for line in axes.lines if line is not drawn and len(line.get_xydata())]
    assert drawn.get_zorder() > max(line.get_zorder() for line in others)
    low, high = axes.get_xlim()
    assert low < 1e-3 < high
    assert_apart(figure)
    pyplot.close(figure)


@pytest.mark.slow
def test_balls_with_another_stationary_point_are_drawn_at_the_lower_edge() -> None:
    """And every divergence is in the legend, the verdicts of both claims above."""
    rows = [
        {"problem": problem, "seed": seed, "pull": pull, "radius": radius, "status": "ok"}
        | {"constant": 1e-30 if pull < 0.2 and radius > 1 else (1 + seed) * 1e-3 / radius}
        for problem in ("one", "other")
        for seed in range(3)
        for pull in (0.0, 0.1, 0.3, 1.0, 2.0)
        for radius in (0.5, 1.0, 2.0)
    ]
    table, module = pd.DataFrame(rows), script("sail_pl")
    verdicts = {name: judge(Catalogue.shipped().claim(name), table) for name in module.CLAIMS}
    figure = module.draw(verdicts, {"sail-pl": table})
    assert_apart(figure)
    first, _ = figure.axes
    assert figure.get_suptitle() == "sail-pl: violated\nsail-pl-pulled: holds"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["without", *(f"c = {pull} beta" for pull in ("0.1", "0.3", "1", "2"))]
    lowest = [min(container[0].get_ydata()) for container in first.containers]  # type: ignore[index]
    assert lowest == pytest.approx([module.LOWEST, module.LOWEST, 5e-4, 5e-4, 5e-4])
    pyplot.close(figure)


@pytest.mark.slow
def test_constants_show_every_quantity_and_the_slopes_that_are_stated_and_derived() -> None:
    """Planted: every quantity grows with half of its bound."""
    module, catalogue, verdicts = script("constants"), Catalogue.shipped(), {}
    for name in module.CLAIMS:
        claim = catalogue.claim(name)
        small = claim.rates[0].limit == "zero"
        x = np.array([2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02]) ** (1 if small else -1)
        rows = [
            pd.DataFrame({"problem": problem, "seed": seed, "status": "ok", claim.rates[0].x: x})
            for problem in (("bandit", "garnet") if small else ("bandit",))
            for seed in range(8)
        ]
        for number, frame in enumerate(rows):
            for rate in claim.rates:
                growth = getattr(rate, "exponent", 0.0) / 2
                frame[rate.y] = (1 + number / 10) * (1 / x if small else x) ** growth
        verdicts[name] = judge(claim, pd.concat(rows))
    figure = module.draw(verdicts, {})
    texts = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert {"stated: 3", "derived: 2", "derived: 1", "stated: 1"} <= texts[0]
    assert texts[1] == {"derived: 1"}
    assert texts[6] == {"derived: 0"}
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert set(module.NAMES) <= labels
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[4] == f"constants-discount-stated: {verdicts['constants-discount-stated'].status}"
    # A curve with half of the exponent ends at the root of where the line of the bound does.
    axes = figure.axes[1]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 7)
    assert curve.get_ydata()[-1] == pytest.approx(10**0.5)
    assert_apart(figure)
    pyplot.close(figure)
