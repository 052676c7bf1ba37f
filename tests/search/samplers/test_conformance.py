"""What every sampler that `--sampler` names must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.samplers import SAMPLERS, make_sampler
from search.space import Knob, SearchSpace
from search.study import ask_unseen, open_study, resume

LAYERS = tuple(f"l{index}" for index in range(5))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(
        knob
        for name in LAYERS
        for knob in (
            Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")),
            Knob(name=f"rank/{name}", layers=(name,), choices=(1.0, 0.5, 0.25)),
        )
    ),
)

Params = dict[str, float]


def search(path: Path, name: str, trials: int, seed: int = 3) -> list[Params]:
    """What one session proposes: a made-up latency and metric stand for the device."""
    from search.trials import OUTCOME

    proposed = []
    with open_study(path, name, seed) as study:
        seen = resume(study, SPACE)
        for _ in range(trials):
            asked = ask_unseen(study, SPACE, seen, seed)
            assert asked is not None
            trial, policy = asked
            latency = sum((c.weight_bits / 32) * c.rank for c in policy.layers.values())
            damage = sum((c.weight_bits == 8) * 0.01 + (1 - c.rank) * 0.1 for c in policy.layers.values())
            trial.set_user_attr(OUTCOME, {"digest": policy.digest})
            study.tell(trial, (latency, 1 - damage))
            seen.add(policy, policy.digest)
            proposed.append(dict(trial.params))
    return proposed


@pytest.fixture(params=SAMPLERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_proposes_new_policies_of_the_space(name: str, tmp_path: Path) -> None:
    proposed = search(tmp_path / "study.db", name, 22)
    for params in proposed:
        assert set(params) == {knob.name for knob in SPACE.knobs}
        assert all(params[knob.name] in knob.choices for knob in SPACE.knobs)
    assert len({SPACE.policy(params).digest for params in proposed}) == len(proposed)


def test_the_seed_decides_what_it_proposes(name: str, tmp_path: Path) -> None:
    one, same, other = (search(tmp_path / f"{number}.db", name, 16, seed) for number, seed in enumerate((3, 3, 4)))
    assert one == same
    assert one != other


def test_it_goes_on_in_a_study_that_another_session_began(name: str, tmp_path: Path) -> None:
    first = search(tmp_path / "study.db", name, 14)
    second = search(tmp_path / "study.db", name, 6)
    assert len({SPACE.policy(params).digest for params in first + second}) == 20


def test_no_other_name_is_taken() -> None:
    with pytest.raises(KeyError):
        make_sampler("grid", 0)
