"""A sampler that knows that it searches a network: costs and damage that add up over layers and their neighbours."""

from search.layers.effects import Effect
from search.samplers.frontier.importance import LayerImportance
from search.samplers.frontier.knowledge import Knowledge
from search.samplers.frontier.opening import open_knowledge
from search.samplers.frontier.sampler import FrontierSampler

__all__ = ["Effect", "FrontierSampler", "Knowledge", "LayerImportance", "open_knowledge"]
