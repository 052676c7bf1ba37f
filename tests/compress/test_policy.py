"""Policies are values: canonical, ordered by nothing, refused at birth when they make no sense."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import PolicyError
from compress.policy import FORMATS, INT8, UNTOUCHED, LayerPolicy, Policy
from tests.compress.conftest import Loaded


@st.composite
def layer_policies(draw: st.DrawFn) -> LayerPolicy:
    mode = draw(st.sampled_from(["static", "dynamic", "float"]))
    sparsity = draw(st.sampled_from([0.0]) | st.floats(0.0, 1.0, exclude_min=True))
    return LayerPolicy(
        weight_bits=draw(st.sampled_from([4, 8, 16, 32])),
        activation_bits=draw(st.sampled_from([16, 32])) if mode == "float" else 8,
        activation_mode=mode,
        sparsity=sparsity,
        sparsity_pattern="none" if sparsity == 0 else draw(st.sampled_from(["channels", "2:4", "unstructured"])),
        rank=draw(st.floats(0.0, 1.0, exclude_min=True)),
    )


_LAYERS = st.dictionaries(st.text(min_size=1), layer_policies(), max_size=6)


@given(_LAYERS, st.randoms())
def test_json_round_trip_and_order(layers: dict[str, LayerPolicy], random: Any) -> None:
    policy = Policy(layers)
    assert Policy.from_json(policy.to_json()) == policy
    names = list(layers)
    random.shuffle(names)
    shuffled = Policy({name: layers[name] for name in names})
    assert shuffled == policy
    assert shuffled.digest == policy.digest
    assert hash(shuffled) == hash(policy)
    assert shuffled.to_json() == policy.to_json()


@given(_LAYERS)
def test_the_json_is_what_the_standard_library_writes(layers: dict[str, LayerPolicy]) -> None:
    document = {"format_version": 1, "layers": {name: asdict(layer) for name, layer in layers.items()}}
    assert Policy(layers).to_json() == json.dumps(document, sort_keys=True, indent=1)


@given(_LAYERS, st.text(min_size=1), layer_policies())
def test_different_policies_have_different_digests(
    layers: dict[str, LayerPolicy], name: str, choice: LayerPolicy
) -> None:
    changed = {**layers, name: choice}
    assert (Policy(changed).digest == Policy(layers).digest) == (changed == layers)


def test_numbers_that_are_equal_are_the_same_policy() -> None:
    """A rank of 1 and of 1.0 mean the same candidate and must have the same name."""
    whole, real = Policy({"a": LayerPolicy(rank=1)}), Policy({"a": LayerPolicy(rank=1.0)})
    assert whole == real
    assert whole.digest == real.digest
    negative = Policy({"a": LayerPolicy(sparsity=-0.0)})
    assert negative.digest == real.digest


def test_formats_are_found_by_their_bits() -> None:
    for name, choice in FORMATS.items():
        assert choice.format == name
    odd = LayerPolicy(weight_bits=4, activation_bits=8, activation_mode="static")
    assert odd.format == "w4a8-static"


def test_a_policy_cannot_be_changed() -> None:
    layers = {"a": UNTOUCHED}
    policy = Policy(layers)
    layers["a"] = INT8
    assert policy["a"] == UNTOUCHED
    with pytest.raises(TypeError):
        policy.layers["a"] = INT8  # type: ignore[index]
    assert UNTOUCHED.is_identity
    assert not INT8.is_identity


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 5}, r"weight_bits must be one of \(4, 8, 16, 32\), got 5"),
        ({"weight_bits": "8"}, r"weight_bits must be one of .*, got '8'"),
        ({"activation_bits": 4}, r"activation_bits must be one of \(8, 16, 32\), got 4"),
        ({"activation_mode": "maybe"}, "activation_mode must be one of .*, got 'maybe'"),
        ({"sparsity": 1.2, "sparsity_pattern": "2:4"}, r"sparsity must be in \[0, 1\], got 1.2"),
        ({"sparsity": 0.5}, "sparsity_pattern must be 'none' exactly when sparsity is 0"),
        ({"sparsity": "much"}, "sparsity must be a number, got 'much'"),
        ({"sparsity": True, "sparsity_pattern": "2:4"}, "sparsity must be a number, got True"),
        ({"rank": 0.0}, r"rank must be in \(0, 1\], got 0.0"),
        ({"rank": float("nan")}, r"rank must be in \(0, 1\], got nan"),
        ({"rank": None}, "rank must be a number, got None"),
        ({"activation_bits": 8}, "activation_mode must be 'static' or 'dynamic' exactly when activation_bits is 8"),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        LayerPolicy(**fields)
    document = {"format_version": 1, "layers": {"conv1": fields}}
    with pytest.raises(PolicyError, match=f"layer 'conv1': {message}"):
        Policy.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a policy must be JSON"),
        ("{", "a policy must be JSON"),
        ("[]", "a policy must be an object"),
        ('{"layers": []}', "a policy must be an object"),
        ('{"layers": {}}', "format_version must be 1, got None"),
        ('{"format_version": 2, "layers": {}}', "must be 1, got 2; a newer one needs a newer paretune"),
        ('{"format_version": 1, "layers": {"a": 8}}', "layer 'a': expected an object, got 8"),
        ('{"format_version": 1, "layers": {"a": {"bits": 8}}}', "layer 'a': unknown field 'bits'"),
        ('{"format_version": 1, "layers": {"a": {"weight_bits": [8]}}}', r"layer 'a': weight_bits must be .*\[8\]"),
    ],
)
def test_malformed_documents_are_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        Policy.from_json(text)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv9": UNTOUCHED}, "names a layer that the network has not: 'conv9'"),
        ({"head": None}, "lacks a layer of the network: 'head'"),
        ({"conv2": LayerPolicy(rank=0.999)}, "layer 'conv2': rank 0.999 saves nothing here"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    load: Callable[[str], Loaded], change: dict[str, LayerPolicy | None], message: str
) -> None:
    loaded = load("plain_convolutions")
    choices = {**dict.fromkeys([layer.name for layer in loaded.network.layers], UNTOUCHED), **change}
    policy = Policy({name: choice for name, choice in choices.items() if choice is not None})
    with pytest.raises(PolicyError, match=message) as caught:
        loaded.compressor().build(policy)
    assert "\n" not in str(caught.value)
