"""Which folders are packages; all else is in ``pyproject.toml``.

Experiments and figure scripts lie at the top of the repository, where they are read and edited, and
belong to the package: a wheel brings them inside of it. Packages are found, so that a new room needs no
edit, and ``pyproject.toml`` cannot both find packages and name some that lie elsewhere.
"""

from setuptools import find_packages, setup

BESIDE = {
    "theory_check.experiments": "experiments",
    "theory_check.paper_figures": "paper_figures",
    "theory_check.paper_figures.comparison": "paper_figures/comparison",
}

setup(packages=[*find_packages(include=["theory_check*"]), *BESIDE], package_dir=BESIDE)
