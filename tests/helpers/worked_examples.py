"""The examples of CONTRIBUTING.md as the study that they describe."""

from __future__ import annotations

from pathlib import Path

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"

FILES = {
    "A problem": "problems/arms.py",
    "A reward or policy class": "models/state_reward.py",
    "A solver": "solvers/heavy_ball.py",
}
"""Where a study has the example of each section."""

EXPERIMENT = """\
measurement = "solver-run"
description = "Momentum on arms, with rewards of the state alone and with those of the family."
seeds = 2

[settings]
iterations = 5

[settings.solver]
name = "heavy-ball"
inner_steps = 2
inner_step_size = 0.5
step_size = 0.5
trajectories = 10

[problems.arms]
family = "arms"
rewards = [0.0, 1.0]

[problems.arms-of-the-state]
family = "arms"
reward = { name = "state", scale = 2 }
"""


def example(section: str) -> str:
    """Return the first Python block of a section."""
    text = CONTRIBUTING.read_text(encoding="utf-8").split(f"\n## {section}\n")[1]
    return text.split("```python\n")[1].split("```")[0]


def write_study(folder: Path) -> Path:
    """Write the examples into a folder, with an experiment that uses all of them; return it."""
    files = {FILES[section]: example(section) for section in FILES}
    for name, text in (files | {"experiments/worked.toml": EXPERIMENT, "study.toml": ""}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
