"""What is left of a layer is what the compressor would leave of it."""

from __future__ import annotations

import numpy as np
import pytest

from search.samplers.frontier.forms import LayerForms, find_forms
from search.space.space import Knob

from .networks import GRAPH, LAYERS, SIDE, SPACE, WIDTH, sizes

KNOBS = {knob.name: (at, knob) for at, knob in enumerate(SPACE.knobs)}


def forms(name: str) -> LayerForms:
    found = find_forms(LAYERS[name], GRAPH, KNOBS)
    assert found is not None
    return found


def entry(form: LayerForms, **chosen: int) -> int:
    """The position of an assignment that turns the named kinds of knobs only."""
    named = {SPACE.knobs[at].name: axis for axis, at in enumerate(form.scope)}
    choices = [0] * len(form.shape)
    for knob, choice in chosen.items():
        choices[named[knob.replace("_", "/")]] = choice
    return int(np.ravel_multi_index(choices, form.shape))


def test_a_layer_depends_on_its_own_knobs_and_on_those_of_the_channels_it_reads() -> None:
    scopes = {name: {SPACE.knobs[at].name for at in forms(name).scope} for name in LAYERS}
    assert scopes == {
        "stem": {"bits/stem", "sparsity/stem"},
        "a": {"bits/a", "rank/a", "sparsity/a", "sparsity/stem"},
        "b": {"bits/b", "rank/b", "sparsity/a", "sparsity/stem"},
        "depthwise": {"bits/depthwise", "sparsity/stem"},
        "head": {"bits/head", "sparsity/stem"},
    }


def test_nothing_done_is_the_whole_layer() -> None:
    form = forms("a")
    assert form.work["kernel"][:, 0] == pytest.approx([LAYERS["a"].macs, WIDTH * SIDE**2, 9 * WIDTH * SIDE**2, 1.0])
    assert form.whole[0] == LAYERS["a"].macs
    assert form.formats[0] == "fp32"
    assert not form.is_gone[0]


@pytest.mark.parametrize("name", list(LAYERS))
def test_channels_at_both_ends_multiply(name: str) -> None:
    """Every combination of both sparsities, against the shares counted by hand."""
    form = forms(name)
    knobs = [SPACE.knobs[at] for at in form.scope]
    for position in range(len(form.formats)):
        choices = np.unravel_index(position, form.shape)
        params = {**SPACE.params(0), **{k.name: k.choices[c] for k, c in zip(knobs, choices, strict=True)}}
        inputs, outputs = sizes(params)[name]
        assert form.is_gone[position] == (not inputs or not outputs)
        if form.is_gone[position] or form.is_ranked[position]:
            continue
        layer = LAYERS[name]
        whole = layer.macs / layer.output_channels * outputs
        macs = whole if layer.groups > 1 else whole * inputs / layer.weight_shape[1]
        assert sum(work[0, position] for work in form.work.values()) == pytest.approx(macs)
        assert form.written[position] == outputs * SIDE**2


def test_a_kernel_s_factors_are_two_operators_that_save_what_their_rank_says() -> None:
    form = forms("a")
    ranked = entry(form, rank_a=1)
    # Break-even at 32·32·9 / (32·3 + 32·3) = 48; half of it, in eighths.
    assert form.is_ranked[ranked]
    assert form.work["factor"][:, ranked] == pytest.approx(
        [24 * 2 * 3 * WIDTH * SIDE**2, (24 + WIDTH) * SIDE**2, 3 * (WIDTH + 24) * SIDE**2, 2.0]
    )
    assert not form.work["kernel"][:, ranked].any()


def test_a_branch_without_channels_is_gone_from_both_its_layers() -> None:
    for name in ("a", "b"):
        form = forms(name)
        gone = form.is_gone.reshape(form.shape)
        axis = form.scope.index(KNOBS["sparsity/a"][0])
        assert np.take(gone, 3, axis).all()
        assert not np.take(gone, [0, 1, 2], axis).any()
        assert form.vanishing == (KNOBS["sparsity/a"][0],)


def test_a_mask_leaves_the_work_and_is_named() -> None:
    masked = Knob(name="sparsity/head", layers=("head",), choices=(0.0, "2:4"))
    form = find_forms(LAYERS["head"], GRAPH, {**KNOBS, masked.name: (99, masked)})
    assert form is not None
    assert set(form.masks.tolist()) == {"", "2:4"}
    assert form.work["point"][0, form.masks == "2:4"].max() == LAYERS["head"].macs


def test_a_layer_that_nothing_turns_has_no_forms() -> None:
    assert find_forms(LAYERS["head"], GRAPH, {}) is None
