"""How much of a network's work a policy moves out of FP32, by multiply-adds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.policy import FORMATS, UNTOUCHED, LayerPolicy, Policy
from search.layers.format_share import share_in_other_formats

MACS = {"stem": 100, "body": 700, "head": 200}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "fp32"])
def test_a_uniform_policy_moves_all(name):
    """Whatever the format is."""
    assert share_in_other_formats(Policy.uniform(MACS, FORMATS[name]), MACS) == 1.0


def test_what_stays_in_fp32_is_not_moved_however_small_it_gets():
    """Pruning and factors are no format."""
    smaller = LayerPolicy(sparsity=0.5, sparsity_pattern="channels", rank=0.25)
    assert share_in_other_formats(Policy.uniform(MACS, smaller), MACS) == 0.0


@given(st.sets(st.sampled_from(sorted(MACS))))
def test_a_mixed_policy_moves_its_layers_multiply_adds(moved):
    """Each layer counts by its own."""
    policy = Policy({name: FORMATS["int8"] if name in moved else UNTOUCHED for name in MACS})
    assert share_in_other_formats(policy, MACS) == pytest.approx(sum(MACS[name] for name in moved) / 1000)


def test_where_no_multiply_adds_are_known_layers_count_alike():
    """Shapes cannot always be inferred."""
    policy = Policy({"stem": FORMATS["int8"], "body": UNTOUCHED, "head": UNTOUCHED})
    assert share_in_other_formats(policy, dict.fromkeys(MACS, 0)) == pytest.approx(1 / 3)
