"""Answer with the network in this folder: python run.py [INPUTS.npz [OUTPUTS.npz]]. Needs numpy and onnxruntime."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path(__file__).resolve().parent
settings = json.loads((folder / "manifest.json").read_text())["session"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = settings["threads"]
options.inter_op_num_threads = 1
for key, value in settings["entries"].items():
    options.add_session_config_entry(key, value)
providers = [(settings["provider"], settings["provider_options"])]
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=providers)
with np.load(sys.argv[1] if len(sys.argv) > 1 else folder / "example.npz", allow_pickle=False) as file:
    outputs = session.run(None, dict(file))
named = {output.name: array for output, array in zip(session.get_outputs(), outputs, strict=True)}
for name, array in named.items():
    print(name, array.dtype, array.shape, array.ravel()[:8])  # noqa: T201 - it ships as a program
if len(sys.argv) > 2:
    np.savez(sys.argv[2], **named)
