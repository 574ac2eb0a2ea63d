"""The imports and files of the project obey ``docs/architecture.md``.

The rules are the data below; the code reads the real import graph. A fake package with one planted
mistake at a time shows that each rule can fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from helpers.shapes import HOOKED

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "theory_check"

FOUNDATION = frozenset({"errors", "provenance", "settings"})
ENTRY = "__main__"
"""Of ``python -m theory_check``: nothing imports it."""

TOP = frozenset({"studies", "report", "cli", ENTRY})

# Room -> the rooms it may import, beside FOUNDATION: the table of docs/architecture.md.
ALLOWED: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "provenance": frozenset(),
    "settings": frozenset(),
    "arrays": frozenset(),
    "files": frozenset(),
    "randomness": frozenset(),
    "thresholds": frozenset(),
    "catalogue": frozenset({"files"}),
    "bilevel": frozenset(),
    "kernels": frozenset(),
    "models": frozenset(),
    "problems": frozenset({"arrays", "files", "models", "kernels"}),
    "oracles": frozenset({"arrays", "problems", "models", "kernels", "bilevel", "randomness"}),
    "solvers": frozenset({"bilevel", "models"}),
    "recording": frozenset({"oracles", "bilevel", "problems"}),
    "advice": frozenset({"oracles", "problems", "solvers", "bilevel", "recording"}),
    "tuning": frozenset({"oracles", "problems", "solvers", "bilevel", "recording", "randomness"}),
    "measurements": frozenset(
        [
            "advice",
            "bilevel",
            "kernels",
            "models",
            "oracles",
            "problems",
            "randomness",
            "recording",
            "solvers",
            "thresholds",
            "tuning",
        ]
    ),
    "worst_cases": frozenset({"oracles", "problems", "claims"}),
    "claims": frozenset({"thresholds"}),
    "analysis": frozenset({"arrays", "claims", "thresholds"}),
    "runs": frozenset(
        [
            "advice",
            "arrays",
            "bilevel",
            "catalogue",
            "claims",
            "files",
            "kernels",
            "measurements",
            "models",
            "oracles",
            "problems",
            "randomness",
            "recording",
            "solvers",
            "thresholds",
            "tuning",
        ]
    ),
    "testing": frozenset(
        [
            "analysis",
            "bilevel",
            "catalogue",
            "claims",
            "models",
            "oracles",
            "problems",
            "recording",
            "report",
            "runs",
            "solvers",
        ]
    ),
    "plotting": frozenset({"analysis", "claims"}),
    "studies": frozenset(
        ["analysis", "catalogue", "claims", "problems", "runs", "solvers", "worst_cases"]
    ),
    "report": frozenset(
        ["advice", "analysis", "catalogue", "claims", "files", "runs", "studies", "worst_cases"]
    ),
    ENTRY: frozenset({"cli"}),
    "cli": frozenset(
        [
            "advice",
            "analysis",
            "arrays",
            "bilevel",
            "catalogue",
            "claims",
            "files",
            "kernels",
            "measurements",
            "models",
            "oracles",
            "plotting",
            "problems",
            "randomness",
            "recording",
            "report",
            "runs",
            "solvers",
            "studies",
            "testing",
            "thresholds",
            "tuning",
            "worst_cases",
        ]
    ),
}

# The order in which FOUNDATION itself is built.
FOUNDATION_ALLOWED: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "provenance": frozenset(),
    "settings": frozenset({"errors"}),
}

NUMERICAL = frozenset({"numpy", "torch", "scipy", "pandas", "numba", "pyarrow"})
# Claims and everything claims may import.
WITHOUT_NUMERICS = frozenset({"claims", "thresholds"}) | FOUNDATION

# What a solver must never see; stated again so that editing the table alone cannot allow it.
SOLVERS_NEVER = frozenset({"oracles", "problems", "recording", "claims"})

# Names of the package, or of its public interface, that run something.
FIGURES_NEVER = frozenset(
    {"solvers", "oracles", "problems", "runs", "run", "ExactOracle", "SampledOracle"}
)

LINE_LIMIT = 400

# Of the whole command line: words, calls and exit codes, and no work.
COMMAND_LINES = 600

# A directory of somebody's machine at the start of a path: not in a URL, nor after `~` or `$HOME`.
LOCAL_PATH = re.compile(
    r"(?<![\w./~}-])/(?:home|Users|root|tmp|work|workspace|mnt|private|scratch)/"
    r"|\b[A-Za-z]:\\{1,2}Users\b"
)
SEARCHED = (".ci", "docs", "experiments", "paper_figures", "study_template", "tests", PACKAGE)
GENERATED = frozenset({"__pycache__", "output"})


def room_of(module: str) -> str:
    """Return the room of a module, and "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def import_graph(package: str) -> grimp.ImportGraph:
    # No cache: it would be written into the working directory.
    return grimp.build_graph(package, include_external_packages=True, cache_dir=None)


def arrows(graph: grimp.ImportGraph, package: str) -> Iterator[tuple[str, str]]:
    """Yield every direct import (importer, imported), lazy and type-checking ones included."""
    for importer in sorted(graph.modules):
        if importer.partition(".")[0] == package:
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                yield importer, imported


def permitted(room: str) -> frozenset[str]:
    return FOUNDATION_ALLOWED[room] if room in FOUNDATION else ALLOWED[room] | FOUNDATION


def wrong_arrows(package: str) -> list[str]:
    """Return the imports between rooms that the table does not allow."""
    wrong = []
    for importer, imported in arrows(import_graph(package), package):
        source, target = room_of(importer), room_of(imported)
        if imported.partition(".")[0] != package or source in ("", target):
            continue
        if source not in ALLOWED:
            wrong.append(f"{importer}: room {source!r} is not in the table")
        elif target not in permitted(source):
            wrong.append(f"{importer} imports {imported}")
    return wrong


def folders_in_circles(package: str) -> list[set[str]]:
    """Return the groups of folders, rooms inside rooms included, that import one another in a circle.

    A module that lies beside folders is a node of its own; a folder stands for the modules directly in
    it that lie beside none.
    """
    graph = import_graph(package)
    inside = {module for module in graph.modules if module.partition(".")[0] == package}
    parents = {module.rpartition(".")[0] for module in inside}
    holds_folders = {parent.rpartition(".")[0] for parent in parents}

    def node(module: str) -> str:
        parent = module.rpartition(".")[0]
        return module if module in parents or parent in holds_folders else parent

    between: dict[str, set[str]] = {}
    for importer, imported in arrows(graph, package):
        # What a folder passes on from its own modules is no arrow of theirs.
        apart = node(importer) != node(imported) and not importer.startswith(f"{imported}.")
        if imported in inside and apart and not imported.startswith(f"{importer}."):
            between.setdefault(node(importer), set()).add(node(imported))
    return circles(between)


def circles(between: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the groups of nodes of a graph that reach one another."""
    reached: dict[str, set[str]] = {}
    for start in between:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for following in between.get(waiting.pop(), set()) - seen:
                seen.add(following)
                waiting.append(following)
        reached[start] = seen
    groups = {
        frozenset({start, *(each for each in seen if start in reached.get(each, ()))})
        for start, seen in reached.items()
        if start in seen
    }
    return sorted(map(set, groups), key=sorted)


def existing_rooms(package: str) -> set[str]:
    modules = import_graph(package).modules
    return {room_of(module) for module in modules if module.startswith(f"{package}.")}


def unknown_rooms(package: str) -> list[str]:
    """Return the rooms that exist but are not in the table."""
    return sorted(existing_rooms(package) - ALLOWED.keys())


def numerical_imports(package: str) -> list[str]:
    """Return numerical imports of rooms that must do without."""
    return [
        f"{importer} imports {imported}"
        for importer, imported in arrows(import_graph(package), package)
        if room_of(importer) in WITHOUT_NUMERICS and imported.partition(".")[0] in NUMERICAL
    ]


def names_used(source: str, package: str) -> set[str]:
    """Return the direct members of ``package`` that a script imports or reads as attributes."""
    used: set[str] = set()
    aliases: set[str] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == package:
                    used.add(room_of(alias.name))
                    if alias.asname is None or alias.name == package:
                        aliases.add(alias.asname or package)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == package:
                used.update(alias.name for alias in node.names)
            elif node.module.partition(".")[0] == package:
                used.add(room_of(node.module))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
        ):
            used.add(node.attr)
    return used


def overlong_modules(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)}: {lines} lines"
        for path in sorted(folder.rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LINE_LIMIT
    ]


def lines_of(folder: Path) -> int:
    """Return how many lines the Python files of a folder have."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py"))


def searched_files(root: Path) -> Iterator[Path]:
    """Yield the project's files: those at the top, and those of the folders it consists of."""
    yield from (path for path in sorted(root.iterdir()) if path.is_file())
    for name in SEARCHED:
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and not GENERATED.intersection(path.relative_to(root).parts):
                yield path


def local_paths(root: Path) -> list[str]:
    found = []
    for path in searched_files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary
        for number, line in enumerate(text.splitlines(), start=1):
            if LOCAL_PATH.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()}")
    return found


def documented_rules(text: str) -> dict[str, frozenset[str]]:
    """Read the table of rooms: names in the first column, permissions in the third."""
    permissions: dict[str, str] = {}
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) == 5 and "`" in cells[1]:
            for room in re.findall(r"`(\w+)(?:/|\.py)`", cells[1]):
                permissions[room] = cells[3]
    rules = {}
    for room, permission in permissions.items():
        named = frozenset(re.findall(r"`(\w+)`", permission))
        if "all but" in permission:
            # Nothing imports what stands above it, whatever the exceptions named.
            named = frozenset(permissions) - named - TOP - {room}
        elif "everything" in permission:
            named = frozenset(permissions) - {room, ENTRY}
        rules[room] = named
    return rules


def test_every_import_follows_the_table() -> None:
    assert wrong_arrows(PACKAGE) == []


def test_every_room_is_in_the_table_and_every_room_of_the_table_exists() -> None:
    assert unknown_rooms(PACKAGE) == []
    assert sorted(ALLOWED.keys() - existing_rooms(PACKAGE)) == []


def test_the_rules_here_are_those_of_the_document() -> None:
    documented = documented_rules((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert {room: rule - FOUNDATION for room, rule in documented.items()} == dict(ALLOWED)


def test_no_folder_imports_one_that_imports_it() -> None:
    assert folders_in_circles(PACKAGE) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [{"b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}}) == []


def test_the_rules_have_no_cycle() -> None:
    order = list(TopologicalSorter({room: permitted(room) for room in ALLOWED}).static_order())
    assert set(order) == set(ALLOWED)


def test_the_rules_keep_solvers_from_the_truth() -> None:
    assert not permitted("solvers") & SOLVERS_NEVER


def test_claims_import_nothing_numerical() -> None:
    assert numerical_imports(PACKAGE) == []


def test_figures_run_nothing() -> None:
    scripts = sorted((ROOT / "paper_figures").rglob("*.py"))
    assert scripts, "paper_figures holds no script, so nothing was checked"
    offences = {
        script.name: sorted(used)
        for script in scripts
        if (used := names_used(script.read_text(encoding="utf-8"), PACKAGE) & FIGURES_NEVER)
    }
    assert offences == {}


def test_modules_are_short() -> None:
    assert overlong_modules(ROOT / PACKAGE) == []


def test_the_command_line_is_words_calls_and_exit_codes() -> None:
    assert 0 < lines_of(ROOT / PACKAGE / "cli") <= COMMAND_LINES


def test_no_file_names_a_local_path() -> None:
    assert local_paths(ROOT) == []


PLANTED = "planted"
Plant = Callable[[str, str], Path]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Return a function that builds a correct package with one file changed or added."""

    def build(file: str, source: str) -> Path:
        package = tmp_path / PLANTED
        for room in ALLOWED:
            (package / room).mkdir(parents=True)
            (package / room / "__init__.py").write_text("")
            (package / room / "part.py").write_text("")
        (package / "__init__.py").write_text(f"from {PLANTED}.runs import part\n")
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        return package

    return build


@pytest.mark.parametrize(
    ("room", "source", "imported"),
    [
        ("solvers", "from planted.oracles.part import x", "planted.oracles.part"),
        ("solvers", "from planted import problems", "planted.problems"),
        ("solvers", "def late():\n    import planted.recording", "planted.recording"),
        (
            "solvers",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import planted.claims",
            "planted.claims",
        ),
        ("models", "from ..problems import part", "planted.problems.part"),
        ("kernels", "import planted.models.part as p", "planted.models.part"),
        ("analysis", "import planted.runs", "planted.runs"),
        ("runs", "import planted.analysis", "planted.analysis"),
        ("runs", "import planted.studies", "planted.studies"),
        ("studies", "from planted.report import part", "planted.report.part"),
        ("errors", "import planted.provenance", "planted.provenance"),
        ("errors", "import planted.settings", "planted.settings"),
        # The package itself re-exports every room, so importing it would go round the table.
        ("solvers", "import planted", "planted"),
    ],
)
def test_a_planted_wrong_import_is_flagged(
    plant: Plant, room: str, source: str, imported: str
) -> None:
    plant(f"{room}/greedy.py", source)
    assert wrong_arrows(PLANTED) == [f"planted.{room}.greedy imports {imported}"]


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("solvers", "from planted.models import part"),
        ("solvers", "from planted.errors import part"),
        ("solvers", "from . import part"),
        ("claims", "import planted.provenance"),
        ("cli", "import planted.runs, planted.report"),
        ("oracles", "import numpy"),
    ],
)
def test_a_right_import_is_not_flagged(plant: Plant, room: str, source: str) -> None:
    plant(f"{room}/modest.py", source)
    assert wrong_arrows(PLANTED) == []
    assert numerical_imports(PLANTED) == []
    assert unknown_rooms(PLANTED) == []


def test_a_planted_room_is_flagged(plant: Plant) -> None:
    plant("helpers/__init__.py", "import planted.models")
    assert unknown_rooms(PLANTED) == ["helpers"]
    assert wrong_arrows(PLANTED) == ["planted.helpers: room 'helpers' is not in the table"]


@pytest.mark.slow
@pytest.mark.parametrize("room", sorted(WITHOUT_NUMERICS))
@pytest.mark.parametrize("library", ["numpy", "torch", "scipy", "pandas"])
def test_a_planted_numerical_import_is_flagged(plant: Plant, room: str, library: str) -> None:
    plant(f"{room}/heavy.py", f"def late():\n    from {library} import linalg")
    assert numerical_imports(PLANTED) == [f"planted.{room}.heavy imports {library}"]


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("from theory_check.solvers.base import Solver", {"solvers"}),
        ("def late():\n    import theory_check.oracles.exact", {"oracles"}),
        ("from theory_check import problems, run", {"problems", "run"}),
        (
            "import theory_check as tc\ntc.ExactOracle(tc.problems.bandit())",
            {"ExactOracle", "problems"},
        ),
        ("import theory_check\ntheory_check.runs.load_table('a', 'b')", {"runs"}),
    ],
)
def test_a_planted_figure_that_runs_something_is_flagged(source: str, used: set[str]) -> None:
    assert names_used(source, PACKAGE) & FIGURES_NEVER == used


def test_a_figure_may_use_verdicts() -> None:
    source = "import theory_check as tc\nfrom theory_check.analysis import fit\ntc.verify('a')"
    assert names_used(source, PACKAGE) >= {"analysis", "verify"}
    assert not names_used(source, PACKAGE) & FIGURES_NEVER


def test_a_planted_overlong_module_is_flagged(tmp_path: Path) -> None:
    (tmp_path / "limit.py").write_text("x = 0\n" * LINE_LIMIT)
    assert overlong_modules(tmp_path) == []
    (tmp_path / "beyond.py").write_text("x = 0\n" * (LINE_LIMIT + 1))
    assert overlong_modules(tmp_path) == [f"beyond.py: {LINE_LIMIT + 1} lines"]
    assert lines_of(tmp_path) == 2 * LINE_LIMIT + 1


def test_a_planted_local_path_is_flagged(tmp_path: Path) -> None:
    # Put together here, so that this file does not name such a path itself.
    line = "store = '" + "/".join(["", "home", "me", "results"]) + "'"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "innocent.md").write_text(
        "#!/usr/bin/env bash\nhttps://example.org/home/page\n~/work/results\ndev/tmp/x\n"
    )
    assert local_paths(tmp_path) == []
    (tmp_path / "docs" / "guilty.md").write_text(f"first\n{line}\n")
    windows = "C:" + "\\Users\\me"
    (tmp_path / "notes.txt").write_text(windows)
    assert local_paths(tmp_path) == [f"notes.txt:1: {windows}", f"docs/guilty.md:2: {line}"]


def folders_without_fast_tests(tests: Path) -> list[str]:
    """Return the folders with test modules in which every test is marked slow."""
    fast: dict[str, bool] = {}
    for path in sorted(tests.rglob("test_*.py")):
        folder = path.parent.relative_to(tests).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        of_module = any("mark.slow" in ast.unparse(each) for each in tree.body if _is_mark(each))
        unmarked = [
            each.name
            for each in functions
            if each.name.startswith("test_")
            and not any("mark.slow" in ast.unparse(mark) for mark in each.decorator_list)
        ]
        fast[folder] = fast.get(folder, False) or (bool(unmarked) and not of_module)
    return [folder for folder, any_fast in fast.items() if not any_fast]


def _is_mark(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets
    )


@pytest.mark.slow
def test_every_folder_of_tests_has_some_for_every_save() -> None:
    assert folders_without_fast_tests(ROOT / "tests") == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def test_one():\n    pass\n", []),
        ("@pytest.mark.slow\ndef test_one():\n    pass\n", ["room"]),
        ("pytestmark = pytest.mark.slow\n\n\ndef test_one():\n    pass\n", ["room"]),
        ("@pytest.mark.slow\ndef test_one():\n    pass\n\n\ndef test_two():\n    pass\n", []),
        ("def helper():\n    pass\n", ["room"]),
    ],
)
def test_a_folder_of_slow_tests_alone_is_found(
    tmp_path: Path, source: str, found: list[str]
) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "test_part.py").write_text(source)
    assert folders_without_fast_tests(tmp_path) == found


@pytest.mark.parametrize("room", HOOKED)
def test_protocols_can_be_checked_where_annotations_are_enforced(room: str) -> None:
    """An annotation with one that cannot fails when its module is imported with ``--shapes``.

    One that joins others is as they are.
    """
    for file in sorted((ROOT / PACKAGE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and [*map(ast.unparse, node.bases)] == ["Protocol"]:
                decorators = [ast.unparse(each) for each in node.decorator_list]
                assert "runtime_checkable" in decorators, f"{file}: {node.name}"
