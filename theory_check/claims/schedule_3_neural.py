"""The schedule with independent batches suffices for neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

CLAIM = Claim(
    id="schedule-3-neural",
    statement="The schedule of schedule-3 suffices with neural policy and reward",
    source="arXiv 2410.15610 (neural classes), with the schedule of schedule-3",
    provenance="R",
    kind="measured",
    otherwise="Yes: a class error would be a floor, and neural lower levels are not proved to satisfy "
    "PL.",
    assumptions=(
        "the policy class contains the optimum: its error would be a floor",
        "∇Phi_sigma is Lipschitz uniformly in sigma, in the parameters of the reward network",
        "the lower level converges linearly in the parameters of the policy network",
    ),
    experiment="schedule-3-neural",
    rates=(RATE,),
)
