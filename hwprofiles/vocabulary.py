"""The words in which profiles speak of number formats and sparsity."""

from __future__ import annotations

from typing import Literal

Int8Scheme = Literal["auto", "u8s8", "u8s7", "s8s8", "symmetric", "none"]
DecidedScheme = Literal["u8s8", "u8s7", "s8s8", "symmetric"]
NumberFormat = Literal["fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights"]
WeightBlockSize = Literal[16, 32, 64, 128, 256]
WeightOnlyCompute = Literal["float", "int8"]
SparsityPattern = Literal["channels", "2:4", "unstructured"]
