"""Frames of audio with an exactly known pitch, and the pitch that CREPE's outputs say, for the CREPE workloads."""

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 1024
LOWEST_HZ, HIGHEST_HZ = 60.0, 1200.0
HARMONICS = 12
# Shares and ranges that a tone draws its own values from.
MISSING_HARMONICS = 0.2
FAINTEST_FUNDAMENTAL = 0.05
SLOPES = (0.5, 2.0)
NOISE_RATIOS_DB = (-2.0, 28.0)
# Harmonics stop short of half the sample rate, where a recording's anti-aliasing filter cuts.
_BAND = 0.45
_PEAK = 20_000.0

# The pitch of output 0 in cents above 10 Hz, and the distance of neighbours (Kim et al. 2018, section 2).
FIRST_CENTS = 1997.3794084376191
CENTS_PER_BIN = 20.0
_NEIGHBOURS = 4
TOLERANCE_CENTS = 50.0


def tones(count: int, *, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Frames of zero mean and unit variance, (count, 1024), and their pitches in cents above 10 Hz, (count,).

    A tone is a pitch, up to 12 harmonics that fall with a slope of their own (some are missing, each has its phase),
    and white noise 28 dB below to 2 dB above; rounded to 16 bits, as a recording is. Pitches are
    log-uniform in 60 to 1200 Hz. How many harmonics are missing and how loud the noise is was set by trying, on the
    validation tones, so that neither CREPE saturates: the accuracies compare versions of a network, and say nothing of
    how good CREPE is.
    """
    generator = np.random.default_rng(seed)
    pitches_hz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** generator.random(count)
    harmonics = np.arange(1, HARMONICS + 1)
    slopes = generator.uniform(*SLOPES, (count, 1))
    amplitudes = harmonics**-slopes * generator.uniform(0.3, 1.0, (count, HARMONICS))
    amplitudes *= generator.random((count, HARMONICS)) >= MISSING_HARMONICS
    amplitudes[:, 0] = np.maximum(amplitudes[:, 0], FAINTEST_FUNDAMENTAL)
    amplitudes *= pitches_hz[:, None] * harmonics < _BAND * SAMPLE_RATE_HZ
    phases = generator.uniform(0.0, 2 * np.pi, (count, HARMONICS))
    turns = 2 * np.pi * pitches_hz[:, None] * np.arange(FRAME_SAMPLES) / SAMPLE_RATE_HZ
    sound = np.zeros((count, FRAME_SAMPLES))
    for index, harmonic in enumerate(harmonics):
        sound += amplitudes[:, index, None] * np.sin(harmonic * turns + phases[:, index, None])
    sound /= np.sqrt(np.square(sound).mean(axis=1, keepdims=True))
    noise_ratios = generator.uniform(*NOISE_RATIOS_DB, (count, 1))
    sound += 10 ** (-noise_ratios / 20) * generator.standard_normal(sound.shape)
    recorded = np.rint(sound / np.abs(sound).max(axis=1, keepdims=True) * _PEAK)
    recorded -= recorded.mean(axis=1, keepdims=True)
    recorded /= recorded.std(axis=1, keepdims=True)
    return recorded.astype(np.float32), cents(pitches_hz)


def cents(pitches_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pitches in cents above 10 Hz; an octave is 1,200."""
    result: NDArray[np.float64] = 1200 * np.log2(pitches_hz / 10)
    return result


def decode(confidences: NDArray[np.floating]) -> NDArray[np.float64]:
    """The pitch in cents above 10 Hz that each row (N, 360) says.

    The mean of the nine pitches around the most confident one, weighted by confidence (Kim et al. 2018, equation 1,
    over the neighbourhood that their implementation takes). Where all nine are zero, the first pitch.
    """
    peaks = confidences.argmax(axis=1)[:, None]
    indices = peaks + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    inside = (indices >= 0) & (indices < confidences.shape[1])
    nearest = np.clip(indices, 0, confidences.shape[1] - 1)
    weights = np.take_along_axis(confidences.astype(np.float64), nearest, axis=1) * inside
    total = weights.sum(axis=1)
    silent = total == 0
    offsets = (weights * (indices - peaks)).sum(axis=1) / np.where(silent, 1.0, total)
    result: NDArray[np.float64] = FIRST_CENTS + CENTS_PER_BIN * (peaks[:, 0] + offsets)
    return result


def is_within_tolerance(confidences: NDArray[np.floating], pitches_cents: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each row's pitch is at most 50 cents from the true one: raw pitch accuracy, per frame."""
    right: NDArray[np.bool_] = np.abs(decode(confidences) - pitches_cents) <= TOLERANCE_CENTS
    return right
