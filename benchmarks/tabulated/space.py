"""The policies that are tabulated: few enough for all of them, with every kind of choice that a search has."""

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.subjects import Subject
from search.space.space import Choice, SearchSpace, build_space

CHOICES: Mapping[str, tuple[Choice, ...]] = {
    "bits/stem": ("fp32", "int8"),
    "bits/blocks.0.conv1": ("fp32", "int8"),
    "bits/blocks.0.conv2": ("fp32", "int8"),
    "bits/blocks.1.conv1": ("fp32", "int8"),
    "bits/blocks.1.conv2": ("fp32", "int8"),
    "bits/blocks.1.shortcut.0": ("fp32", "int8"),
    "sparsity/stem": (0.0, 0.5, 0.75),
    "sparsity/blocks.0.conv1": (0.0, 0.75),
    "sparsity/blocks.1.conv1": (0.0, 0.5, 0.875, 1.0),
    "sparsity/blocks.1.conv2": (0.0, 0.875),
    "rank/blocks.1.conv2": (1.0, 0.1875),
}
"""Of the network's own knobs, those that are turned, and how far: 6,144 policies."""


def tabulated_space(subject: Subject) -> SearchSpace:
    """The network's space on this machine, as far as it is tabulated.

    Raises:
        ValueError: The network has no such choice here.
    """
    multiple = subject.profile.sparsity.channel_multiple
    whole = build_space(
        subject.network.layers,
        subject.compressor.groups.values(),
        formats=subject.compressor.formats,
        patterns=("channels",),
        channel_multiple=multiple,
    )
    by_name = {knob.name: knob for knob in whole.knobs}
    for name, choices in CHOICES.items():
        offered = by_name[name].choices if name in by_name else ()
        if not set(choices) <= set(offered):
            raise ValueError(f"{name!r} must offer {choices} to be tabulated, it offers {offered}")
    knobs = tuple(replace(by_name[name], choices=choices) for name, choices in CHOICES.items())
    return SearchSpace(layers=whole.layers, knobs=knobs)
