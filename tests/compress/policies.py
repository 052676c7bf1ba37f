"""Policies to try on any network: the corners of what a compressor can do, and random points between them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from compress.channels.widths import sparsity_choices
from compress.layers import Layer
from compress.network import Network
from compress.policy import FORMATS, INT8, UNTOUCHED, LayerPolicy, Policy
from compress.ranks import rank_of
from compress.stitch import Compressor
from compress.weight_rows import inputs_per_group
from compress.weights.mask_layer import takes_runs
from tests.compress.format_mixes import formats_for

Choices = dict[str, LayerPolicy]


def mixed(network: Network, integer: Iterable[str] = (), low_rank: Iterable[str] = ()) -> Policy:
    """8 bits for `integer`, half the break-even rank for those of `low_rank` that have one."""
    integer, low_rank = set(integer), set(low_rank)
    layers = {}
    for layer in network.layers:
        choice = INT8 if layer.name in integer else UNTOUCHED
        halved = layer.name in low_rank and rank_of(layer, 0.5, 1) is not None
        layers[layer.name] = replace(choice, rank=0.5) if halved else choice
    return Policy(layers)


def names_of(network: Network) -> list[str]:
    """All layers by name."""
    return [layer.name for layer in network.layers]


def in_format(choice: LayerPolicy, name: str) -> LayerPolicy:
    """The same choice in the number format `name`."""
    bits = FORMATS[name]
    return replace(
        choice,
        weight_bits=bits.weight_bits,
        activation_bits=bits.activation_bits,
        activation_mode=bits.activation_mode,
    )


def uniform_format(network: Network, name: str) -> Policy:
    """`name` for every layer that can have it, FP32 for the others."""
    return Policy({layer.name: FORMATS[name] if name in formats_for(layer) else UNTOUCHED for layer in network.layers})


def uniform_rank(compressor: Compressor, fraction: float) -> Policy:
    """A fraction of the break-even rank for every layer where that saves something."""
    multiple = compressor.channel_multiple
    return Policy(
        {
            layer.name: UNTOUCHED if rank_of(layer, fraction, multiple) is None else LayerPolicy(rank=fraction)
            for layer in compressor.network.layers
        }
    )


def narrowed(compressor: Compressor, ratio: float, *, start: Policy | None = None) -> Policy:
    """Every channel group at the largest ratio that it takes up to `ratio`; other layers as in `start`."""
    layers = dict((start or mixed(compressor.network)).layers)
    for group in compressor.groups.values():
        found = max(r for r in sparsity_choices(group, compressor.channel_multiple) if r <= ratio)
        for member in group.producers:
            layers[member.layer] = _narrow(layers[member.layer], found)
    return Policy(layers)


def vanished(compressor: Compressor, *, start: Policy | None = None) -> Policy:
    """Without the residual branches that may go entirely."""
    layers = dict((start or mixed(compressor.network)).layers)
    for group in compressor.groups.values():
        for member in group.producers if group.may_vanish else ():
            layers[member.layer] = _narrow(layers[member.layer], 1.0)
    return Policy(layers)


def masked(network: Network, pattern: str, ratio: float = 0.5) -> Policy:
    """A mask over every layer that takes it."""
    mask = LayerPolicy(sparsity=ratio, sparsity_pattern=pattern) if ratio else UNTOUCHED  # type: ignore[arg-type]
    return Policy(
        {layer.name: mask if pattern != "2:4" or _takes_runs(layer) else UNTOUCHED for layer in network.layers}
    )


def joint(compressor: Compressor, seed: int, formats: Collection[str] | None = None) -> Policy:
    """A random point: every layer its own format, channels, mask and rank, each drawn half of the time.

    Args:
        compressor: Whose choices are drawn from.
        seed: Of the draw.
        formats: What to draw from; everything that the compressor offers if None.
    """
    random = np.random.default_rng(seed)
    network, multiple = compressor.network, compressor.channel_multiple
    choices: Choices = dict.fromkeys(names_of(network), UNTOUCHED)
    touched: set[str] = set()
    for group in compressor.groups.values():
        ratio = float(random.choice(sparsity_choices(group, multiple))) if random.random() < 0.5 else 0.0
        for member in group.producers if ratio else ():
            choices[member.layer] = _narrow(choices[member.layer], ratio)
        touched |= {member.layer for member in (*group.producers, *group.consumers)} if ratio else set()
    offered = compressor.formats if formats is None else {"fp32", *formats}
    for layer in network.layers:
        choice = choices[layer.name]
        if choice.sparsity == 0.0 and random.random() < 0.3:
            # 2:4 asks for runs of four among the inputs that are left: only whole layers are sure of them.
            runs = layer.name not in touched and _takes_runs(layer) and random.random() < 0.5
            pattern, ratio = ("2:4", 0.5) if runs else ("unstructured", float(random.choice([0.3, 0.5, 0.75])))
            choice = replace(choice, sparsity=ratio, sparsity_pattern=pattern)  # type: ignore[arg-type]
        fraction = float(random.choice([0.25, 0.5, 0.75]))
        if random.random() < 0.3 and rank_of(layer, fraction, multiple) is not None:
            choice = replace(choice, rank=fraction)
        name = str(random.choice([name for name in formats_for(layer) if name in offered]))
        choices[layer.name] = in_format(choice, name)
    return Policy(choices)


def assorted(compressor: Compressor, random_count: int = 4) -> Mapping[str, Policy]:
    """The corners of what the compressor can do, those that are FP32 left out, and some random points."""
    network, names = compressor.network, names_of(compressor.network)
    policies = {name: uniform_format(network, name) for name in compressor.formats}
    policies |= {
        "rank": mixed(network, (), names),
        "int8+rank": mixed(network, names, names),
        "channels": narrowed(compressor, 0.5),
        "int8+channels": narrowed(compressor, 0.5, start=mixed(network, names)),
        "vanished": vanished(compressor),
        "int8+vanished": vanished(compressor, start=mixed(network, names)),
        "2:4": masked(network, "2:4"),
        "unstructured": masked(network, "unstructured"),
    }
    policies |= {f"joint{seed}": joint(compressor, seed) for seed in range(random_count)}
    untouched = mixed(network)
    return {name: policy for name, policy in policies.items() if policy != untouched} | {"fp32": untouched}


def _narrow(choice: LayerPolicy, ratio: float) -> LayerPolicy:
    return replace(choice, sparsity=ratio, sparsity_pattern="channels" if ratio else "none")


def _takes_runs(layer: Layer) -> bool:
    return takes_runs(inputs_per_group(layer))
