"""A worker that asks, waits a moment in the place of a trial, and tells; all but the trial is real."""

import sys
import time

from search.space.space import Knob, SearchSpace
from search.study.address import StudyAddress
from search.study.asking import ask_unseen
from search.study.liveness import Heart
from search.study.seen import resume
from search.study.study import open_study
from search.study.trials import OUTCOME, Outcome

LAYERS = tuple(f"l{index}" for index in range(4))
SPACE = SearchSpace(
    layers=LAYERS, knobs=tuple(Knob(name=f"bits/{n}", layers=(n,), choices=("fp32", "int8")) for n in LAYERS)
)
FIGURES = {
    "latency_ms": 1.5, "latency_ratio": 0.5, "latency_ratio_low": 0.49, "latency_ratio_high": 0.51, "grade": "clean",
    "grade_reason": "", "metric": 0.9, "metric_drop": 0.01, "metric_drop_low": 0.0, "metric_drop_high": 0.02,
    "divergence": 0.1, "model_bytes": 1000,
}  # fmt: skip


def main(url: str, sampler: str, seed: int, pause_s: float) -> None:
    """Ask until every policy has been tried by somebody."""
    address = StudyAddress.parse(url, "shared")
    with open_study(address, sampler, seed) as study, Heart(address) as heart:
        seen = resume(study, SPACE, joins=True, end_stale=heart.end_stale)
        while True:
            seen.refresh(study)
            asked = ask_unseen(study, SPACE, seen, seed)
            if asked is None:
                if not seen.elsewhere:
                    return
                time.sleep(0.05)
                continue
            trial, policy = asked
            with heart.beating(trial.number):
                print(trial.number, flush=True)  # noqa: T201
                time.sleep(pause_s)
                outcome = Outcome(digest=policy.digest, **FIGURES)
                trial.set_user_attr(OUTCOME, outcome.to_attribute())
                study.tell(trial, outcome.values)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
