"""What the help of each command says: its purpose, examples and exit codes."""

from collections.abc import Mapping

EPILOG = """\
exit codes:
  0    everything as it should be
  1    a claim that should hold is violated, a negative control is not, or advice fails its check;
       what is found of an open statement fails nothing
  2    bad input: an argument, an experiment file or the store; nothing was run
  3    a cell failed, or the workers did, so that some results are missing (takes precedence over 1)
  70   a defect of theory-check, whose traceback is printed
  130  interrupted; finished cells are kept
  141  the reader of the output left before its end
  143  terminated; finished cells are kept

Results are kept in the store, one file per cell. A command runs only cells without a result, so a
killed one is resumed by giving it again.
"""

_ENDINGS = """\
  70   a defect of theory-check, whose traceback is printed
  130  interrupted
  141  the reader of the output left before its end
  143  terminated
"""

_ADVISE = f"""\
example:
  theory-check advise --problem bandit --set contexts=3 --set actions=2 --epsilon 0.02 --check

exit codes:
  0    the advice is printed, and its check passed where asked for
  1    the check failed
  2    bad input, a target that the starts meet already, or one that cannot be reached
{_ENDINGS}
Everything is run anew, by this process alone; nothing is stored.
"""

_WORST_CASE = f"""\
example:
  theory-check worst-case penalty-smoothness --family garnet --budget 500 --label my-worst

The optimiser (CMA-ES) and, beside it, random search have --budget exact evaluations each. The worst
instance is evaluated again by a second route; where the two disagree it is rejected. It is kept as
STORE/worst-cases/LABEL.json, to be loaded by problems.stored("STORE/worst-cases/LABEL.json") or, in an
experiment file, by family = "stored" and file = "STORE/worst-cases/LABEL.json".

exit codes:
  0    what the claim predicts holds on the worst instance
  1    it does not
  2    bad input, or no instance on which both routes agree
{_ENDINGS}"""

_NEW = """\
example:
  theory-check new my-study && theory-check check my-study && theory-check --study my-study verify

exit codes:
  0    the study is written
  2    bad input: a folder that is not empty, or that cannot be written
"""

_CHECK = """\
What is checked, each against numerical differentiation or a planted example where it can be: problems
(with the arguments of the study's experiments), reward and policy classes, solvers (as their methods, or
the study's experiments, configure them), claims, experiment files and figure scripts.

exit codes:
  0    everything passes
  1    a check fails, or a file cannot be imported
  2    bad input: no such folder, none that is a study, or two components of one name
"""

_STORE = """\
examples:
  theory-check store                              what results/ holds
  theory-check store --prune --dry-run            what --prune would remove
  theory-check --study mine store --prune         a study's results are kept where it is named

--prune removes results and failures under keys that no cell has: of other source or version, and of no
experiment here, full or small, comparisons included. A claim judged with verify --problem is such a
result. Files that cannot be read, and all that is not named like a result, are left.

exit codes:
  0    everything as it should be
  2    bad input: an argument, an experiment file or the store; nothing was removed
"""

_REPORT = """\
example:
  theory-check report --store results     writes results/report.html, to be opened in any browser
  theory-check report penalty-bias        the page of one claim, in seconds

The page holds all that it needs, and no network is asked. It shows what the store has: a claim without
results is shown as not judged. reproduce writes it at its end, compare one of the comparison alone.

exit codes:
  0    the page is written, whatever the verdicts are
  2    bad input: an argument, an experiment file or the store, or a file that cannot be written
"""

_EXPORT = """\
DIR receives a CSV and a Parquet file for every experiment that is complete, and manifest.json, which says
what they are and which experiments are not complete; verdicts as CSV, Markdown, LaTeX and JSON;
figures/ with what can be drawn; CITATION.cff, and references.bib with the sources of all claims. Nothing
is run.

exit codes:
  0    something was written; incomplete experiments are named
  2    bad input: a folder that is not empty, an experiment file, or a store without a complete experiment
"""

_SHOW = """\
examples:
  theory-check show penalty-bias      a claim: statement, source, audits, experiment, cost, arguments
  theory-check show garnet            a family of problems, with its arguments

exit codes:
  0    everything of that name is shown
  2    bad input: nothing has that name
"""

_COMPLETION = """\
examples:
  theory-check completion bash > ~/.local/share/bash-completion/completions/theory-check
  theory-check completion zsh > ~/.zfunc/_theory-check        where fpath has ~/.zfunc
  theory-check completion fish > ~/.config/fish/completions/theory-check.fish

Names of claims, figures and experiments are those that there are now: give it again for new ones.
"""

SHELLS = ("bash", "zsh", "fish")
"""For which there is a completion."""

KINDS = (
    "problems",
    "rewards",
    "policies",
    "solvers",
    "methods",
    "measurements",
    "claims",
    "worst-cases",
    "experiments",
)
"""What ``list`` can be asked for."""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "list": ("name problems, classes, solvers, measurements, claims and experiments", EPILOG),
    "show": ("show all about a claim, an experiment, a problem family, a solver, ...", _SHOW),
    "run": ("run the cells of an experiment file", EPILOG),
    "verify": ("judge claims, running what their experiments lack", EPILOG),
    "compare": ("compare methods, running what their comparison lacks", EPILOG),
    "figures": ("draw the figures, running what they lack", EPILOG),
    "report": (
        "write one page of all claims and comparisons, or of some, running nothing",
        _REPORT,
    ),
    "store": ("count what the store holds, or prune it", _STORE),
    "export": ("write tables, verdicts, figures and references into a folder", _EXPORT),
    "advise": ("find the cheapest schedule for a target accuracy", _ADVISE),
    "worst-case": (
        "search a family for the instance on which a measured quantity is worst",
        _WORST_CASE,
    ),
    "new": ("write a small study that works, to be edited", _NEW),
    "check": ("check the components of a study", _CHECK),
    "completion": ("write the completion of these commands for a shell", _COMPLETION),
    "reproduce": ("run all experiments, draw all figures, judge", EPILOG),
}
"""What is said of each command, and below its help."""

WRITTEN = (
    "wrote {0}, which {0}/README.md describes",
    "next:  theory-check check {0}",
    "       theory-check --study {0} verify",
)
"""What ``new`` says of the folder that it wrote."""
