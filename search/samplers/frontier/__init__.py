"""A sampler that knows that it searches a network: costs and damage that add up over layers and their neighbours."""

from search.samplers.frontier.layer_graph import LayerGraph, find_layer_graph, record_layer_graph, recorded_layer_graph
from search.samplers.frontier.priors import Effect
from search.samplers.frontier.sampler import FrontierSampler

__all__ = [
    "Effect",
    "FrontierSampler",
    "LayerGraph",
    "find_layer_graph",
    "record_layer_graph",
    "recorded_layer_graph",
]
