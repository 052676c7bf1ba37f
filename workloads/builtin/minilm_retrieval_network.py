"""The network of the `minilm-retrieval` workload: the MiniLM sentence encoder, from token numbers to a unit vector."""

import math

import torch
from torch import nn
from torch.nn import functional

TOKENS = 30_522
POSITIONS = 512
LAYERS = 6
WIDTH = 384
HEADS = 12
HIDDEN = 1_536
EPSILON = 1e-12

# Added to the attention scores of padding: far below all others, and finite.
MASKED = -1e4


class Embeddings(nn.Module):
    """Sums of the embeddings of tokens, places and the first segment, normalized."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(TOKENS, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Token numbers (N, L) to features (N, L, WIDTH)."""
        places = self.position_embeddings.weight[: input_ids.shape[1]] + self.token_type_embeddings.weight[0]
        features: torch.Tensor = self.LayerNorm(self.word_embeddings(input_ids) + places)
        return features


class SelfAttention(nn.Module):
    """The projections to queries, keys and values of twelve heads, and their mixing (Vaswani et al. 2017, eq. 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features (N, L, WIDTH) to the same shape; `mask` (N, 1, 1, L) is added to the attention scores."""
        length = features.shape[1]
        query, key, value = (
            project(features).reshape(-1, length, HEADS, WIDTH // HEADS).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + mask
        mixed: torch.Tensor = (torch.softmax(scores, dim=3) @ value).transpose(1, 2).reshape(-1, length, WIDTH)
        return mixed


class Residual(nn.Module):
    """A projection that is added to what was before, then normalized."""

    def __init__(self, width_in: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, inner: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """`inner` (N, L, width_in) and `features` (N, L, WIDTH) to the shape of `features`."""
        normalized: torch.Tensor = self.LayerNorm(self.dense(inner) + features)
        return normalized


class Layer(nn.Module):
    """Attention, then a perceptron with GELU: an encoder layer of BERT (Devlin et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": Residual(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, HIDDEN)})
        self.output = Residual(HIDDEN)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features (N, L, WIDTH) to the same shape; `mask` (N, 1, 1, L) is added to the attention scores."""
        attended = self.attention["output"](self.attention["self"](features, mask), features)
        hidden = functional.gelu(self.intermediate["dense"](attended))
        result: torch.Tensor = self.output(hidden, attended)
        return result


class Encoder(nn.Module):
    """Six layers, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Layer() for _ in range(LAYERS)])

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features (N, L, WIDTH) to the same shape; `mask` (N, 1, 1, L) is added to the attention scores."""
        for layer in self.layer:
            features = layer(features, mask)
        return features


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2 with its mean pooling and normalization: 22,565,376 parameters.

    A BERT encoder of six layers (Wang et al. 2020, arXiv:2002.10957), tuned on sentence pairs (Reimers & Gurevych
    2019, arXiv:1908.10084). Its parameters have the names of the published weights; dropout, which does nothing in
    eval mode, and BERT's pooler, which this encoder does not use, are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Encoder()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Token numbers and mask (1: text, 0: padding), both int64 (N, L), to unit vectors (N, 384)."""
        present = attention_mask.to(torch.float32)
        mask = ((1.0 - present) * MASKED)[:, None, None, :]
        features = self.encoder(self.embeddings(input_ids), mask)
        weights = present[:, :, None]
        embedding = (features * weights).sum(dim=1) / weights.sum(dim=1)
        unit: torch.Tensor = embedding / torch.linalg.vector_norm(embedding, dim=1, keepdim=True)
        return unit
