from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_toys import CATALOGUE, Gradient, Newton

from theory_check.errors import InvalidArgumentError
from theory_check.runs import Experiment, load_experiment

Load = Callable[[str], Experiment]
Text = Callable[..., str]


def test_one_cell_per_problem_and_grid_combination(load: Load, text: Text) -> None:
    experiment = load(text())
    assert experiment.name == "lines"
    assert experiment.description == "Values of lines."
    assert [str(cell) for cell in experiment.cells()] == [
        "lines/flat method=sum",
        "lines/steep method=sum",
        "lines/flat method=product",
        "lines/steep method=product",
    ]
    cell = experiment.cells()[3]
    assert cell.seeds == 3
    assert cell.problem.parameters == {"slope": 4.0, "offset": 1, "limit": None}
    assert isinstance(cell.problem.parameters["slope"], float)
    assert cell.measurement.points == (1.0, 2.5)
    assert cell.measurement.method == "product"


def test_quick_applies_its_overrides_only(load: Load, text: Text) -> None:
    (cell,) = load(text()).cells(quick=True)
    assert str(cell) == "lines/flat method=sum"
    assert cell.seeds == 2
    assert cell.measurement.points == (3.0,)
    assert cell.measurement.journal == load(text()).cells()[0].measurement.journal


def test_without_a_quick_table_quick_is_the_full_version(load: Load, text: Text) -> None:
    content = text()
    experiment = load(content[: content.index("[quick]")])
    assert [c.key for c in experiment.cells(quick=True)] == [c.key for c in experiment.cells()]


def test_components_are_tables_with_a_name(load: Load, text: Text) -> None:
    solver = '[settings.solver]\nname = "newton"\ndamping = 1\n[grid]'
    assert load(text(("[grid]", solver))).cells()[0].measurement.solver == Newton(1.0)


def test_a_grid_may_vary_a_field_of_a_component(load: Load, text: Text) -> None:
    solver = '[settings.solver]\nname = "newton"\n[grid]\nsolver.damping = [1, 2.0]'
    cells = load(text(("[grid]", solver))).cells()
    assert {(cell.axes[0], cell.measurement.solver) for cell in cells} == {
        (("solver.damping", 1), Newton(1.0)),
        (("solver.damping", 2.0), Newton(2.0)),
    }


def test_a_grid_of_components_is_labelled_by_their_names(load: Load, text: Text) -> None:
    axis = '[grid]\nsolver = [{name = "newton", damping = 1.0}, {name = "gradient"}]'
    cells = load(text(("[grid]", axis))).cells()
    assert {(cell.axes[0][1], cell.measurement.solver) for cell in cells} == {
        ("newton", Newton(1.0)),
        ("gradient", Gradient()),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds = 3", "sedes = 3"), "sedes: received an unknown key; did you mean 'seeds'?"),
        (("seeds = 3", ""), "seeds: received nothing; add this key with a value of type int"),
        (("seeds = 3", "seeds = 0"), "seeds: received 0;"),
        (("seeds = 3", "seeds = 10001"), "seeds: received 10001; pass at most 10000"),
        (("seeds = 3", "seeds = true"), "seeds: received True; pass a value of type int"),
        (("seeds = 3", "seeds = [1]"), "seeds: received [1]; pass a value of type int"),
        (('"values"', '"value"'), "measurement: received 'value'; did you mean 'values'?"),
        (("points = ", "point = "), "settings.point: received an unknown key; did you mean 'p"),
        (("[1, 2.5]", '[1, "a"]'), "settings.points[1]: received 'a'; pass a value of type fl"),
        (("[1, 2.5]", "1.0"), "settings.points: received 1.0; pass a value of type tuple[float,"),
        (("[1, 2.5]", "[]"), "settings.points: received (); pass at least one"),
        (("method = [", "metod = ["), "grid.metod: received an unknown key; did you mean 'meth"),
        (('"product"]', '"prod"]'), "grid.method: received 'prod'; pass one of 'sum', 'product'"),
        (('"product"]', '"sum"]'), "grid.method: received 'sum' twice;"),
        (('["sum", "product"]', '"sum"'), "grid.method: received 'sum'; pass a list"),
        (
            ("[settings]", '[settings]\nmethod = "sum"'),
            "grid.method: received a value that is also in settings.method;",
        ),
        (
            ("[grid]", "[grid]\nsolver.damping = [1]"),
            "settings.solver.name: received nothing; known: gradient, newton",
        ),
        (
            ("[grid]", '[settings.solver]\nname = "newton"\n[grid]\nsolver.dampin = [1]'),
            "grid.solver.dampin: received an unknown key; did you mean 'damping'?",
        ),
        (("slope = 0.5", "slop = 0.5"), "problems.flat.slop: received an unknown key; did you m"),
        (("slope = 0.5", ""), "problems.flat.slope: received nothing; add this key with a value"),
        (("slope = 0.5", "slope = '1'"), "problems.flat.slope: received '1'; pass a value of ty"),
        (("slope = 0.5", "slope = -1.0"), "problems.flat.slope: received -1.0; pass a finite"),
        (("offset = 1", "offset = 1.5"), "problems.steep.offset: received 1.5; pass a value of"),
        (('family = "line"', 'family = "lime"'), "problems.flat.family: received 'lime'; did yo"),
        (('family = "line"', ""), "problems.flat.family: received nothing; name one; known: line"),
        (('["flat"]', '["flut"]'), "quick.problems: received 'flut'; did you mean 'flat'?"),
        (("settings = { p", "settings = { q"), "quick.settings.qoints: received an unknown key;"),
        (("= [3.0]", '= ["x"]'), "quick.settings.points[0]: received 'x'; pass a value of type"),
        (("grid = { m", "grid = { n"), "quick.grid.nethod: received an unknown key; did you me"),
        (('["sum"] }', '["som"] }'), "quick.grid.method: received 'som'; pass one of"),
        (("seeds = 2", "seeds = 0"), "quick.seeds: received 0; pass an integer of at least 1"),
        (
            ("[grid]", '[settings.solver]\nname = "newtom"\n[grid]'),
            "settings.solver.name: received 'newtom'; did you mean 'newton'?",
        ),
        (
            ("[grid]", '[settings.solver]\nname = "newton"\n[grid]'),
            "settings.solver.damping: received nothing; add this key with a value of type float",
        ),
        (
            ("[grid]", '[settings.solver]\nname = "gradient"\nstep_size = -1\n[grid]'),
            "settings.solver.step_size: received -1.0; pass a finite number greater than 0",
        ),
        (("[grid]", "[grid"), "experiment file: received text that is not TOML; correct it: "),
    ],
)
def test_a_mistake_names_the_file_the_key_and_the_remedy(
    load: Load, text: Text, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        load(text(change))
    assert str(caught.value).startswith(f"{tmp_path / 'lines.toml'}: {message}")


@pytest.mark.slow
def test_a_problem_that_takes_too_long_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    """With what it costs; what cannot be enumerated is refused to measurements that enumerate alone."""
    text = (
        'measurement = "{}"\ndescription = "Large."\nseeds = 1\n'
        '[problems.large]\nfamily = "garnet"\nstates = {}\nactions = 8\nhorizon = {}\n'
        "features = 2\nobservations = 2\nbranching = {}\n[settings]\n{}"
    )
    sigmas, widths = "sigmas = [0.1, 0.05, 0.02, 0.01]\n", "widths = [4, 8]\n"
    file = tmp_path / "large.toml"
    file.write_text(text.format("penalty-bias", 300, 2000, 300, sigmas))
    with pytest.raises(InvalidArgumentError) as caught:
        load_experiment(file)
    assert str(caught.value).startswith(f"{file}: problems.large.problem: received garnet(300x8")
    assert "more than 10^30 trajectories" in str(caught.value)
    assert re.search(r"steps [0-9.e+]+ s; use fewer steps", str(caught.value))
    file.write_text(text.format("penalty-bias", 30, 20, 2, sigmas))
    assert len(load_experiment(file).cells()) == 1
    file.write_text(text.format("neural-bias", 30, 20, 2, widths))
    with pytest.raises(
        InvalidArgumentError, match="at most 4096 trajectories, which it enumerates"
    ):
        load_experiment(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"absent.toml: experiment file: .*No such"):
        load_experiment(tmp_path / "absent.toml", CATALOGUE)


def test_the_key_does_not_depend_on_spelled_out_defaults(load: Load, text: Text) -> None:
    before = load(text()).cells()
    explicit = text(
        ("[settings]", "[settings]\nrepeats = 1\ngate = ''"),
        ("slope = 0.5", "slope = 0.50\noffset = 0"),
    )
    assert [cell.key for cell in load(explicit).cells()] == [cell.key for cell in before]


def test_the_key_does_not_depend_on_a_component_default(load: Load, text: Text) -> None:
    keys = {
        load(text(("[grid]", f'[settings.solver]\nname = "gradient"\n{step}[grid]'))).cells()[0].key
        for step in ("", "step_size = 1\n", "step_size = 1.0\n")
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "change",
    [
        ("2.5]", "2.5000001]"),
        ("seeds = 3", "seeds = 4"),
        ("slope = 0.5", "slope = 0.6"),
        ("slope = 0.5", "slope = 0.5\noffset = 1"),
        ("slope = 0.5", "slope = 0.5\nlimit = 1"),
        ("[settings]", "[settings]\nrepeats = 2"),
        ("[grid]", '[settings.solver]\nname = "gradient"\n[grid]'),
    ],
)
def test_the_key_depends_on_every_number(load: Load, text: Text, change: tuple[str, str]) -> None:
    assert load(text(change)).cells()[0].key != load(text()).cells()[0].key


def test_a_description_is_not_part_of_the_key_and_a_label_is_by_its_seeds_alone(
    load: Load, text: Text
) -> None:
    renamed = text(("[problems.flat]", "[problems.level]"), ('["flat"]', '["level"]'))
    described = text(("Values of lines.", "Something else."))
    cells = [load(content).cells()[0] for content in (text(), renamed, described)]
    assert cells[0].key == cells[2].key != cells[1].key
    assert replace(cells[1], first_seed=cells[0].first_seed).key == cells[0].key
