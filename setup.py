"""Which folders are packages; all else is in ``pyproject.toml``.

Experiments, figure scripts and the study that ``theory-check new`` writes lie at the top of the
repository, where they are read and edited, and belong to the package: a wheel brings them inside of it.
Packages are found, so that a new room needs no edit, and ``pyproject.toml`` cannot both find packages and
name some that lie elsewhere.
"""

from setuptools import find_packages, setup

BESIDE = {
    "theory_check.experiments": "experiments",
    "theory_check.paper_figures": "paper_figures",
    "theory_check.paper_figures.comparison": "paper_figures/comparison",
    "theory_check.study_template": "study_template",
    "theory_check.study_template.claims": "study_template/claims",
    "theory_check.study_template.figures": "study_template/figures",
    "theory_check.study_template.problems": "study_template/problems",
    "theory_check.study_template.solvers": "study_template/solvers",
}

setup(packages=[*find_packages(include=["theory_check*"]), *BESIDE], package_dir=BESIDE)
