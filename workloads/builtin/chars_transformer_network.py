"""The network of the `chars-transformer` workload: a causal transformer that predicts the next character."""

import math

import torch
from torch import nn
from torch.nn import functional

CHARACTERS = 96
CONTEXT = 128
LAYERS = 4
WIDTH = 128
HEADS = 4
HIDDEN = 512

# Far below every attention score, and finite: exp() of it is 0, and no runtime meets infinity minus infinity.
MASKED = -1e4


class Block(nn.Module):
    """Causal self-attention and a two-layer perceptron, each on normalized features and added to them.

    Pre-norm residual blocks as of Radford et al. 2019 (GPT-2), section 2.3; attention is Vaswani et al. 2017,
    equation 1, written out, so that its exported graph has plain MatMul and Softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.hidden_norm = nn.LayerNorm(WIDTH)
        self.hidden = nn.Linear(WIDTH, HIDDEN)
        self.reduce = nn.Linear(HIDDEN, WIDTH)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features (N, L, WIDTH) to the same shape; `mask` (L, L) is added to the attention scores."""
        normalized = self.attention_norm(features)
        query, key, value = (
            project(normalized).reshape(-1, CONTEXT, HEADS, WIDTH // HEADS).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + mask
        mixed = (torch.softmax(scores, dim=3) @ value).transpose(1, 2).reshape(-1, CONTEXT, WIDTH)
        features = features + self.output(mixed)
        inner = functional.gelu(self.hidden(self.hidden_norm(features)))
        result: torch.Tensor = features + self.reduce(inner)
        return result


class CharsTransformer(nn.Module):
    """Four blocks of width 128 with four heads between embeddings and a linear head: 834,400 parameters."""

    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.characters_in = nn.Embedding(CHARACTERS, WIDTH)
        self.positions = nn.Parameter(torch.zeros(CONTEXT, WIDTH))
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CHARACTERS)
        self.register_buffer("mask", torch.full((CONTEXT, CONTEXT), MASKED).triu(1), persistent=False)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Characters int64 (N, 128) to scores (N, 128, 96): at each place, of what the next character is."""
        features = self.characters_in(characters) + self.positions
        for block in self.blocks:
            features = block(features, self.mask)
        scores: torch.Tensor = self.head(self.norm(features))
        return scores
