"""Which policies are looked at before the first trial: few that turn all layers alike, few that turn none alike."""

import random
from collections.abc import Iterator, Mapping, Sequence

from search.space.space import Choice, SearchSpace

_SPARSITIES = 3
_RANKS = 2
_MIXED = 12

Params = Mapping[str, Choice]


def profiled(space: SearchSpace) -> tuple[Params, ...]:
    """Parameters of the policies to profile, FP32 first, then those that tell most.

    Each number format, and some sparsities and ranks, narrow and in FP32. Where a policy removes whole branches, what
    is left of the network does not compare.
    """
    starts = [start.params for start in space.starts()]
    formats = [params for params in starts if not any(_turned(space, params, kind) for kind in ("rank", "sparsity"))]
    thinned = [p for p in starts if _turned(space, p, "sparsity") and not _lacks_branches(p)]
    sparsities = _spread(thinned, _SPARSITIES)
    ranks = _spread([params for params in starts if _turned(space, params, "rank")], _RANKS)
    middle = [*sparsities[len(sparsities) // 2 :][:1], *ranks[:1]]
    wide = [_in_fp32(space, params) for params in middle]
    ordered = [*formats[:2], *middle, *wide, *formats[2:], *sparsities, *ranks]
    return tuple({tuple(params.items()): params for params in ordered}.values())


def mixed(space: SearchSpace) -> tuple[Params, ...]:
    """Parameters of policies that draw each layer's number format by lot and leave all else alone.

    What a conversion between two formats costs shows in no layer and in no policy that turns all layers alike; on a
    mobile network of 50 layers these took 0.9 to 1.1 of FP32's time, all-8-bit 0.56. Each has as many changes of
    format as there can well be, and is built of weights that the uniform policies have left.
    """
    if sum(len(knob.choices) > 1 for knob in space.knobs if knob.kind == "bits") < 2:
        return ()
    generator = random.Random(0)  # noqa: S311  # no secret
    return tuple(
        {knob.name: generator.choice(knob.choices) if knob.kind == "bits" else knob.choices[0] for knob in space.knobs}
        for _ in range(_MIXED)
    )


def _turned(space: SearchSpace, params: Params, kind: str) -> bool:
    return any(params[knob.name] != knob.choices[0] for knob in space.knobs if knob.kind == kind)


def _lacks_branches(params: Params) -> bool:
    return any(name.startswith("sparsity/") and choice == 1.0 for name, choice in params.items())


def _in_fp32(space: SearchSpace, params: Params) -> Params:
    return {knob.name: knob.choices[0] if knob.kind == "bits" else params[knob.name] for knob in space.knobs}


def _spread(found: Sequence[Params], count: int) -> list[Params]:
    """Up to `count` of them, evenly from the first to the last."""
    return list(_every(found, count)) if len(found) > count else list(found)


def _every(found: Sequence[Params], count: int) -> Iterator[Params]:
    for step in range(count):
        yield found[(2 * step + 1) * len(found) // (2 * count)]
