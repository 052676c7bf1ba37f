"""ONNX graphs carried out in torch, so that gradients flow: imported where something is trained, since torch is heavy.

A converter from a package was weighed: the one there is knows operator sets up to 17, no Q/DQ pair, and needs
torchvision. What our normal form of a graph holds is few operators, each of a line or two.
"""
