"""CREPE's decoding, the tones it is validated on, and the folding of its batch norms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workloads.builtin.crepe_network import LAYERS, PITCH_BINS
from workloads.builtin.crepe_tones import (
    CENTS_PER_BIN,
    FIRST_CENTS,
    SAMPLE_RATE_HZ,
    cents,
    decode,
    is_within_tolerance,
    tones,
)

INNER_CENTS = st.floats(FIRST_CENTS + 200, FIRST_CENTS + 20 * (PITCH_BINS - 1) - 200)


def bump(pitch_cents: float) -> NDArray[np.float64]:
    """What CREPE is trained to answer: a Gaussian of 25 cents around the pitch, (1, 360)."""
    places = FIRST_CENTS + CENTS_PER_BIN * np.arange(PITCH_BINS)
    answer: NDArray[np.float64] = np.exp(-np.square(places - pitch_cents) / (2 * 25.0**2))[None]
    return answer


@given(INNER_CENTS)
def test_a_bump_is_decoded_to_its_centre(pitch_cents: float) -> None:
    """Closer than the 20 cents between two outputs."""
    assert decode(bump(pitch_cents))[0] == pytest.approx(pitch_cents, abs=1.0)


@given(INNER_CENTS, st.floats(0.01, 1.0))
def test_confidence_does_not_move_the_pitch(pitch_cents: float, factor: float) -> None:
    assert decode(factor * bump(pitch_cents))[0] == pytest.approx(decode(bump(pitch_cents))[0], abs=1e-6)


@given(st.lists(st.floats(0.0, 1.0, width=32), min_size=9, max_size=9), st.integers(10, 300))
def test_answers_one_place_up_are_20_cents_up(window: list[float], start: int) -> None:
    answers = np.zeros((2, PITCH_BINS))
    answers[0, start : start + 9] = answers[1, start + 1 : start + 10] = [*window[:4], 1.5, *window[5:]]
    low, high = decode(answers)
    assert high - low == pytest.approx(CENTS_PER_BIN, abs=1e-6)


@given(st.integers(0, PITCH_BINS - 1))
def test_a_far_second_peak_does_not_count(place: int) -> None:
    answers = np.zeros((1, PITCH_BINS))
    answers[0, place] = 0.9
    answers[0, (place + 180) % PITCH_BINS] = 0.8
    assert decode(answers)[0] == pytest.approx(FIRST_CENTS + CENTS_PER_BIN * place)


def test_silence_is_a_pitch_and_no_warning() -> None:
    assert decode(np.zeros((2, PITCH_BINS), dtype=np.float32)).tolist() == [FIRST_CENTS] * 2


@given(INNER_CENTS, st.floats(-200, 200).filter(lambda off: abs(abs(off) - 50) > 2))
def test_half_a_semitone_is_the_limit(pitch_cents: float, off: float) -> None:
    right = is_within_tolerance(bump(pitch_cents), np.array([pitch_cents + off]))
    assert right.tolist() == [abs(off) < 50]


def test_cents_count_octaves_from_10_hz() -> None:
    assert cents(np.array([10.0, 20.0, 440.0])) == pytest.approx([0.0, 1200.0, 6551.318])


def test_tones_are_normalized_and_the_same_each_time() -> None:
    frames, pitches = tones(50, seed=3)
    again, _ = tones(50, seed=3)
    other, _ = tones(50, seed=4)
    assert (frames.dtype, frames.shape, pitches.shape) == (np.float32, (50, 1024), (50,))
    assert np.array_equal(frames, again)
    assert not np.array_equal(frames, other)
    assert frames.mean(axis=1) == pytest.approx(0, abs=1e-4)
    assert frames.std(axis=1) == pytest.approx(1, abs=1e-4)


def test_a_tone_is_at_the_pitch_that_it_claims() -> None:
    """Sines and cosines of 12 harmonics of the claimed pitch explain most of the sound; 3% off, they do not."""
    frames, pitches = tones(100, seed=5)
    hertz = 10 * 2 ** (pitches / 1200)
    claimed = np.median([_explained(frame, pitch) for frame, pitch in zip(frames, hertz, strict=True)])
    beside = np.median([_explained(frame, 1.03 * pitch) for frame, pitch in zip(frames, hertz, strict=True)])
    assert claimed > 0.9
    assert beside < 0.7


def _explained(frame: NDArray[np.float32], pitch_hz: float) -> float:
    harmonics = pitch_hz * np.arange(1, 13)
    harmonics = harmonics[harmonics < 0.45 * SAMPLE_RATE_HZ]
    turns = 2 * np.pi * np.outer(np.arange(1024) / SAMPLE_RATE_HZ, harmonics)
    waves = np.hstack([np.sin(turns), np.cos(turns)])
    left = frame - waves @ np.linalg.lstsq(waves, frame, rcond=None)[0]
    return float(1 - np.square(left).mean() / np.square(frame).mean())


def test_folding_the_batch_norms_changes_nothing() -> None:
    """Against the layers as published, with scales of both signs."""
    import torch
    from torch.nn import functional

    from workloads.builtin.crepe_network import Crepe

    generator = torch.Generator().manual_seed(0)
    widths, state = (1, 8, 4, 4, 4, 6, 6), {}
    for index in range(1, LAYERS + 1):
        width_in, width = widths[index - 1 : index + 1]
        kernel = 512 if index == 1 else 64
        state[f"conv{index}.weight"] = torch.randn(width, width_in, kernel, 1, generator=generator) / 8
        for name in ("conv{}.bias", "conv{}_BN.weight", "conv{}_BN.bias", "conv{}_BN.running_mean"):
            state[name.format(index)] = torch.randn(width, generator=generator)
        state[f"conv{index}_BN.running_var"] = torch.rand(width, generator=generator) + 0.5
    state["classifier.weight"] = torch.randn(PITCH_BINS, 4 * widths[-1], generator=generator) / 100
    state["classifier.bias"] = torch.randn(PITCH_BINS, generator=generator)
    frames = torch.randn(3, 1024, generator=generator)

    features = frames[:, None, :, None]
    for index in range(1, LAYERS + 1):
        padding, stride = ((254, 254), (4, 1)) if index == 1 else ((31, 32), (1, 1))
        features = functional.pad(features, (0, 0, *padding))
        features = functional.conv2d(features, state[f"conv{index}.weight"], state[f"conv{index}.bias"], stride)
        mean, variance, weight, bias = (
            state[f"conv{index}_BN.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        features = functional.batch_norm(torch.relu(features), mean, variance, weight, bias, eps=0.001)
        features = functional.max_pool2d(features, (2, 1))
    flat = features.permute(0, 2, 1, 3).reshape(len(frames), -1)
    published = torch.sigmoid(flat @ state["classifier.weight"].T + state["classifier.bias"])
    with torch.inference_mode():
        folded = Crepe(state)(frames)
    assert published.std() > 0.05
    torch.testing.assert_close(folded, published, rtol=1e-4, atol=1e-4)
