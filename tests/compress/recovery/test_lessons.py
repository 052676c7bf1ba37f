"""What recovery learns from, checked at the door and drawn in an order that the seed decides."""

from typing import Any

import numpy as np
import pytest

from compress.errors import CompressionError
from compress.recovery.lessons import Lessons
from compress.recovery.settings import RecoverySettings

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10)


def test_batches_of_one_shape_are_joined_and_others_stay_apart() -> None:
    lessons = Lessons.of([({"x": X[:4]}, Y[:4]), ({"x": X[4:]}, Y[4:]), ({"x": np.zeros((3, 5), np.float32)}, Y[:3])])
    assert [len(run) for run in lessons.runs] == [10, 3]
    assert len(lessons) == 13
    assert lessons.have_targets
    np.testing.assert_array_equal(lessons.runs[0].feeds["x"], X)


def test_an_epoch_holds_every_sample_once_with_its_target() -> None:
    lessons = Lessons.of([({"x": X}, Y)])
    batches = list(lessons.epoch(4, np.random.default_rng(0)))
    assert sorted(len(batch) for batch in batches) == [2, 4, 4]
    assert len(batches) == lessons.batch_count(4)
    targets = np.concatenate([batch.targets for batch in batches if batch.targets is not None])
    np.testing.assert_array_equal(np.sort(targets), Y)
    for batch in batches:
        np.testing.assert_array_equal(batch.feeds["x"], X[batch.targets])
        assert batch.place is not None
        np.testing.assert_array_equal(batch.place[1], batch.targets)
    again = list(lessons.epoch(4, np.random.default_rng(0)))
    assert all((a.feeds["x"] == b.feeds["x"]).all() for a, b in zip(batches, again, strict=True))


@pytest.mark.parametrize(("most", "held"), [(3, 3), (256, 5)])
def test_what_is_held_out_is_not_learned_from(most: int, held: int) -> None:
    lessons = Lessons.of([{"x": np.arange(70.0)[:, None]}, {"x": np.arange(100.0, 110.0)[:, None].repeat(2, axis=1)}])
    parts = lessons.hold_out(most, 0)
    learned, seen = (np.concatenate([run.feeds["x"][:, 0] for run in part.runs]) for part in parts)
    assert len(seen) == held
    assert sorted([*learned, *seen]) == [*range(70), *range(100, 110)]
    batches = list(parts[0].in_order(32))
    np.testing.assert_array_equal(np.concatenate([batch.feeds["x"][:, 0] for batch in batches]), learned)
    other = np.concatenate([run.feeds["x"][:, 0] for run in lessons.hold_out(most, 1)[1].runs])
    assert set(other) != set(seen)


def test_of_a_few_samples_none_is_held_out() -> None:
    learned, seen = Lessons.of([({"x": X}, Y)]).hold_out(4, 0)
    assert (len(learned), len(seen)) == (10, 4)


def test_the_digest_is_that_of_the_data() -> None:
    digest = Lessons.of([({"x": X}, Y)]).digest
    assert digest == Lessons.of([({"x": X[:3]}, Y[:3]), ({"x": X[3:]}, Y[3:])]).digest
    assert digest != Lessons.of([{"x": X}]).digest
    assert digest != Lessons.of([({"x": X + 1}, Y)]).digest
    assert digest != Lessons.of([({"z": X}, Y)]).digest


@pytest.mark.parametrize(
    ("batches", "problem"),
    [
        ([], "gave no samples"),
        ([{"x": X[:0]}], "gave no samples"),
        ([X], r"batch 0: expected feeds .* got ndarray"),
        ([({"x": X}, Y[:3])], "different numbers of samples"),
        ([{"x": X}, {"z": X}], r"batch 1 feeds \['z'\], those before it \['x'\]"),
        ([{"x": np.array([None])}], "must be an array of numbers"),
    ],
)
def test_malformed_batches_are_named(batches: list[Any], problem: str) -> None:
    with pytest.raises(CompressionError, match=problem):
        Lessons.of(batches)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", True),
        ("seed", -1),
        ("temperature", 0.0),
        ("learning_rate", float("nan")),
        ("label_weight", 1.1),
        ("hint_weight", -0.1),
        ("time_limit_s", 0.0),
        ("mixing", "often"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(CompressionError, match=f"{name} must be .*, got"):
        RecoverySettings(**{name: value})
