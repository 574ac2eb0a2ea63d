"""``theory-check reproduce``, killed in the middle and started again, ends with the same table.

The real measurements, claims and figures on small experiments; what is killed is the whole process
group, as a machine that loses power would.
"""

import json
from pathlib import Path

import pytest
from helpers.catalogues import with_files_of
from test_interruption import check_resumption

PROBLEMS = """
[problems.one]
family = "bandit"
contexts = 2
actions = 2
objective = "excess_risk"

[problems.two]
family = "garnet"
states = 2
actions = 2
horizon = 2
objective = "excess_risk"
"""

EXPERIMENTS = {
    "penalty-bias": """
measurement = "penalty-bias"
[settings]
sigmas = [0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
""",
    "gradient-noise": """
measurement = "gradient-noise"
[settings]
sigmas = [0.1, 0.05, 0.02, 0.01, 0.005]
trajectories = [100, 300, 1000, 3000, 10000]
fixed_sigma = 0.05
fixed_trajectories = 1000
draws = 4
[grid]
coupling = ["independent", "shared"]
""",
    "inner-linear": """
measurement = "inner-linear"
[settings]
inner_steps = 200
inner_step_size = 2.0
""",
    "outer-ergodic": """
measurement = "solver-run"
[settings]
iterations = 60
[settings.solver]
name = "penalty-bilevel"
sigma = 0.05
inner_steps = 3
inner_step_size = 1.0
step_size = 0.5
trajectories = 1000
pairs = 1000
""",
}


@pytest.mark.slow
def test_the_table_after_a_kill_is_that_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    for name, text in EXPERIMENTS.items():
        header = 'description = "small"\nseeds = 4\n'
        (tmp_path / "experiments" / f"{name}.toml").write_text(header + text + PROBLEMS)
    check_resumption(
        ["reproduce"],
        Path(__file__).with_name("program_of_this_folder.py"),
        with_files_of(tmp_path),
        tmp_path,
        enough=3,
        jobs=1,
    )
    for file in ("verdicts.md", "verdicts.json"):
        whole, broken = (tmp_path / store / file for store in ("whole", "broken"))
        assert whole.read_text() == broken.read_text()
    judged = json.loads((tmp_path / "whole" / "verdicts.json").read_text())
    assert {record["claim"] for record in judged} >= {"penalty-bias", "outer-ergodic"}
    assert all(record["status"] != "not judged" for record in judged)
