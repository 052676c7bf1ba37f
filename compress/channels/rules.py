"""Operator type to what it does to the channels that flow through it."""

from collections.abc import Mapping
from types import MappingProxyType

from compress.channels import layer_rules as layers
from compress.channels import layout_rules as layout
from compress.channels import pointwise_rules as pointwise
from compress.channels.flow import Rule

_UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Clip", "Cos"),
    *(
        "Cosh",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
    ),
    *("LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign"),
    *("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
)
_ELEMENTWISE = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual"),
    *("Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "PRelu", "Sub", "Sum", "Where", "Xor"),
)
_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)
_POOLS = ("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool")

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, pointwise.unary),
        **dict.fromkeys(_ELEMENTWISE, pointwise.elementwise),
        **dict.fromkeys(_REDUCTIONS, pointwise.reduce_axes),
        **dict.fromkeys(_POOLS, pointwise.pool),
        **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), pointwise.along_axis),
        **dict.fromkeys(("ArgMax", "ArgMin"), pointwise.find_extreme),
        "BatchNormalization": pointwise.batch_norm,
        "InstanceNormalization": pointwise.instance_norm,
        "LayerNormalization": pointwise.layer_norm,
        "Resize": pointwise.resize,
        "Conv": layers.convolution,
        "Gemm": layers.matrix_product,
        "MatMul": layers.matrix_product,
        "Concat": layout.concat,
        "Expand": layout.expand,
        "Flatten": layout.flatten,
        "Gather": layout.gather,
        "Pad": layout.pad,
        "Reshape": layout.reshape,
        "Slice": layout.cut,
        "Split": layout.split,
        "Squeeze": layout.squeeze,
        "Tile": layout.tile,
        "Transpose": layout.transpose,
        "Unsqueeze": layout.unsqueeze,
    }
)
