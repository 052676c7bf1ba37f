"""A user's file becomes a checked workload, and every mistake in it one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workloads import WorkloadError, load

Write = Callable[..., Path]

MODULE = """
import torch
def model():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2).eval()
"""


def test_a_plain_file_is_loaded(write_workload: Write) -> None:
    path = write_workload("NAME = 'my net'\ndef latency_input():\n    return {'x': np.ones((1, 3), np.float32)}")
    workload = load(path)
    assert (workload.name, workload.origin) == ("my net", str(path))
    assert workload.network() == path.parent / "net.onnx"
    assert [feeds["x"].shape for feeds in workload.calibration] == [(4, 3), (4, 3)]
    assert (len(workload.search_part), len(workload.confirmation_part)) == (5, 5)
    assert (workload.metric.name, workload.metric.scope) == ("metric", "batch")
    assert workload.latency_input is not None
    assert len(workload.digest) == 64


def test_what_is_optional_may_be_left_out(write_workload: Write) -> None:
    workload = load(str(write_workload()))
    assert workload.name == "mine"
    assert (workload.latency_input, workload.training, workload.groups) == (None, None, None)
    workload = load(write_workload("def training(): ...\ndef groups(): ...\nMETRIC_SCOPE = 'all'"))
    assert callable(workload.training)
    assert callable(workload.groups)
    assert workload.metric.scope == "all"


def test_a_module_is_a_network_too_and_its_weights_are_those_of_the_digest(write_workload: Write) -> None:
    import torch

    workload = load(write_workload(MODULE))
    network = workload.network()
    assert isinstance(network, torch.nn.Linear)
    assert load(write_workload(MODULE)).digest == workload.digest
    # The same source may give other weights: here they come from a file's worth of randomness.
    unseeded = MODULE.replace("torch.manual_seed(0)", "torch.seed()")
    assert load(write_workload(unseeded)).digest != load(write_workload(unseeded)).digest


def test_the_digest_is_of_all_that_decides_the_results(write_workload: Write, linear: Callable[..., bytes]) -> None:
    path = write_workload()
    digests = [load(path).digest]
    assert load(path).digest == digests[0]
    (path.parent / "net.onnx").write_bytes(linear(seed=1))
    digests.append(load(path).digest)
    for extra in ("# a comment", "import helper_of_digest", "def latency_input():\n    return {'x': np.ones((1, 3))}"):
        (path.parent / "helper_of_digest.py").write_text("A = 1")
        digests.append(load(write_workload(extra)).digest)
    data = "from pathlib import Path\ndef calibration():\n    yield {'x': np.load(Path(__file__).with_name('c.npy'))}"
    for value in (0, 1):
        np.save(path.parent / "c.npy", np.full((2, 3), value, dtype=np.float32))
        digests.append(load(write_workload(data)).digest)
    assert len(set(digests)) == len(digests)


def test_the_digest_is_of_the_modules_beside_it_too(write_workload: Write) -> None:
    folder = write_workload().parent
    package = folder / "parts_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("from . import inner")
    digests = []
    for number in range(2):
        (package / "inner.py").write_text(f"VALUE = {number}")
        digests.append(load(write_workload("def training():\n    from parts_of_mine import inner")).digest)
    assert digests[0] != digests[1]


def test_the_digest_is_of_weights_beside_the_onnx_file(write_workload: Write, linear: Callable[..., bytes]) -> None:
    import onnx

    path = write_workload()
    digests = []
    for seed in range(2):
        model = onnx.load_model_from_string(linear(seed=seed))
        (path.parent / "net.data").unlink(missing_ok=True)
        onnx.save(model, path.parent / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
        digests.append(load(path).digest)
    assert digests[0] != digests[1]
    (path.parent / "net.data").unlink()
    with pytest.raises(WorkloadError, match=r"keeps weights in .*net\.data, which does not exist"):
        load(path)


def test_targets_may_be_lists_of_anything_that_can_be_told_apart(write_workload: Write) -> None:
    template = "def validation():\n    yield {{'x': np.ones((2, 3), np.float32)}}, [{{'boxes': [[1, {}]]}}, 'none']"
    first, second = (load(write_workload(template.format(number))) for number in (1, 2))
    assert first.digest != second.digest
    with pytest.raises(WorkloadError, match="the workload, validation holds a object, which has no bytes"):
        load(write_workload("def validation():\n    yield {'x': np.ones((2, 3))}, [object(), object()]"))


def test_what_lies_beside_the_file_can_be_imported_also_later(write_workload: Write) -> None:
    path = write_workload(
        "def metric(outputs, targets):\n    from scorer_beside import score\n    return score(outputs)"
    )
    (path.parent / "scorer_beside.py").write_text("def score(outputs): return outputs[:, 0]")
    assert load(path).metric.function(np.ones((2, 2)), None).tolist() == [1, 1]


def test_a_folder_of_theirs_never_shadows_ours(write_workload: Write) -> None:
    path = write_workload()
    (path.parent / "workloads").mkdir()
    (path.parent / "workloads" / "__init__.py").write_text("raise RuntimeError")
    assert load(path).name == "mine"


@pytest.mark.parametrize("name", ["workloads", "search", "compress"])
@pytest.mark.parametrize("as_package", [True, False])
def test_code_that_needs_one_of_our_names_is_told_so(write_workload: Write, name: str, as_package: bool) -> None:
    path = write_workload(f"def training():\n    import {name}")
    own = path.parent / name if as_package else path.parent / f"{name}.py"
    if as_package:
        own.mkdir()
    (own / "__init__.py" if as_package else own).write_text("")
    with pytest.raises(
        WorkloadError, match=f"imports '{name}' and means {own}, but paretune has a package of that name; rename yours"
    ):
        load(path)


def test_an_import_that_fails_on_one_of_our_names_says_so(write_workload: Write) -> None:
    with pytest.raises(WorkloadError, match="'workloads' here is a package of paretune's: rename yours"):
        load(write_workload("import importlib\nimportlib.import_module('workloads.of_theirs')"))


def test_a_module_that_another_one_hides_is_named(write_workload: Write) -> None:
    path = write_workload("import json")
    (path.parent / "json.py").write_text("")
    with pytest.raises(WorkloadError, match=r"imports 'json' and means .*json\.py, but .* comes first; rename yours"):
        load(path)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mnist", "unknown workload 'mnist': did you mean 'mnist-resnet'"),
        ("bert", r"unknown workload 'bert': The built-in ones are \[.*'mnist-resnet'\]; your own is given as a path"),
        ("nowhere/mine.py", r"there is no workload file nowhere/mine\.py; give the path of a \.py file or one of"),
        ("net.onnx", r"net\.onnx is a network, not a workload; give --model net\.onnx with --data and --metric"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(reference: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        load(reference)


def test_missing_functions_are_all_named(write_workload: Write) -> None:
    with pytest.raises(WorkloadError, match=r"lacks validation\(\), metric\(\); a workload file defines model"):
        load(write_workload(source="def model(): ...\ndef calibration(): ..."))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("metric = 3", r"metric must be a function, got int; write def metric"),
        ("NAME = 3", "NAME must be a text of at least one character, got 3"),
        ("NAME = '../mine'", r"NAME must do as a folder's name, got '\.\./mine'; use up to 100 printable characters"),
        ("NAME = '.'", r"NAME must do as a folder's name, got '\.'"),
        ("NAME = 'my\\nnet'", "NAME must do as a folder's name"),
        ("NAME = 'x' * 101", "NAME must do as a folder's name"),
        ("METRIC_SCOPE = 'some'", "METRIC_SCOPE must be one of .*, got 'some'"),
        ("def model(): return 3", r"model\(\) must give a torch.nn.Module or the path of an ONNX file, got int"),
        ("def model(): return 'no.onnx'", r"model\(\) gave the path 'no.onnx', but there is no file .*no\.onnx"),
        ("def model(): return __file__", None),
        (MODULE.replace(".eval()", ""), r"model\(\) gave a module in training mode; call \.eval\(\) on it"),
        ("def calibration(): return []", r"calibration\(\) gave no samples"),
        ("def calibration(): return [{'x': np.ones((0, 3))}]", r"calibration\(\) gave no samples"),
        ("def calibration(): return [np.ones(3)]", r"calibration\(\), batch 0 must be a dict .*, got ndarray"),
        ("def calibration(): return 3", r"calibration\(\) must give an iterable \(a list, or yield\), got int 3"),
        ("def calibration(): return [{'y': np.ones(1)}]", r"batch 0 feeds \['y'\] but validation\(\) feeds \['x'\]"),
        ("def validation(): return []", r"validation\(\) gave no samples; it must yield \(feeds, targets\)"),
        ("def validation(): return [{'x': np.ones(2)}]", r"validation\(\), batch 0 must be a pair"),
        ("def latency_input(): return np.ones(3)", r"latency_input\(\) must be a dict from input name to array"),
    ],
)
def test_malformed_parts_are_refused_in_one_line(write_workload: Write, extra: str, message: str | None) -> None:
    path = write_workload(extra)
    if message is None:  # a path is not read as ONNX unless it says so; the network's own loader judges it
        assert load(path).network() == path
        return
    with pytest.raises(WorkloadError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_an_onnx_file_that_is_none_is_refused(write_workload: Write) -> None:
    path = write_workload()
    (path.parent / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(WorkloadError, match=r"net\.onnx is not an ONNX file: .*; export the network to ONNX again"):
        load(path)


@pytest.mark.parametrize(
    ("name", "lazily"),
    [
        ("model", False),
        ("calibration", False),
        ("calibration", True),
        ("validation", False),
        ("validation", True),
        ("latency_input", False),
    ],
)
def test_errors_of_their_functions_name_function_line_and_message(
    write_workload: Write, name: str, lazily: bool
) -> None:
    path = write_workload(f"def {name}():\n    {{}}['one\\n two']\n" + ("    yield" if lazily else ""))
    lines = [number for number, text in enumerate(path.read_text().splitlines(), 1) if "['one" in text]
    with pytest.raises(WorkloadError) as caught:
        load(path)
    assert str(caught.value) == f"{name}() failed at {path}:{lines[0]}: KeyError: 'one\\n two'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_line_is_theirs_also_where_a_library_raises(write_workload: Write) -> None:
    path = write_workload("def model():\n    return np.zeros(3).reshape(2, 2)")
    line = path.read_text().splitlines().index("    return np.zeros(3).reshape(2, 2)") + 1
    with pytest.raises(WorkloadError, match=rf"model\(\) failed at .*mine\.py:{line}: ValueError: cannot reshape"):
        load(path)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("1 / 0", r"importing mine\.py failed at .*mine\.py:\d+: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(2)", r"importing mine\.py failed at .*mine\.py:\d+: SystemExit: 2"),
        ("import not_installed_here", "ModuleNotFoundError: No module named 'not_installed_here'"),
        ("def broken(:", r"mine\.py:\d+ is not Python: invalid syntax"),
    ],
)
def test_a_file_that_does_not_run_is_refused(write_workload: Write, extra: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        load(write_workload(extra))
