"""Where in its folder a run keeps what."""

from pathlib import Path


class RunPaths:
    """The files and folders of a run, whether they are there or not.

    Args:
        path: The run's folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def config_path(self) -> Path:
        """`run.toml`: the resolved configuration."""
        return self.path / "run.toml"

    @property
    def network_path(self) -> Path:
        """`network.onnx`: the normalized FP32 network."""
        return self.path / "network.onnx"

    @property
    def calibration_path(self) -> Path:
        """`calibration.npz`: what the calibration pass found."""
        return self.path / "calibration.npz"

    @property
    def variants_path(self) -> Path:
        """`variants/`: finished weights, which all trials share; it may be removed at any time."""
        return self.path / "variants"

    @property
    def ranges_path(self) -> Path:
        """`ranges.json`: how ranges of activations are chosen for this network."""
        return self.path / "ranges.json"

    @property
    def sweep_path(self) -> Path:
        """`sweep.json`: what single choices, each alone, do to the outputs; it may be removed at any time."""
        return self.path / "sweep.json"

    @property
    def study_path(self) -> Path:
        """`study.db`: the Optuna study."""
        return self.path / "study.db"

    @property
    def measurements_path(self) -> Path:
        """`measurements.jsonl`: every raw latency sample ever taken."""
        return self.path / "measurements.jsonl"

    @property
    def environment_path(self) -> Path:
        """`environment.json`: the device, runtime and library versions of the latest session."""
        return self.path / "environment.json"

    @property
    def timings_path(self) -> Path:
        """`timings.json`: seconds by stage, over all sessions."""
        return self.path / "timings.json"

    @property
    def confirmations_path(self) -> Path:
        """`confirmations.json`: the confirmed figures by candidate digest."""
        return self.path / "confirmations.json"

    @property
    def recoveries_path(self) -> Path:
        """`recoveries.json`: what became of the candidates whose weights were to be recovered."""
        return self.path / "recoveries.json"

    @property
    def recovered_path(self) -> Path:
        """`recovered/`: recovered weights, `DIGEST.safetensors`, and what unfinished trainings go on from."""
        return self.path / "recovered"

    @property
    def recovery_progress_path(self) -> Path:
        """`recovering.json`: how far the recovery that is going on is."""
        return self.path / "recovering.json"

    @property
    def engines_path(self) -> Path:
        """`engines/`: what the target's runtime built of candidates, `DIGEST.engine`, and what for, `DIGEST.json`."""
        return self.path / "engines"

    def candidate_path(self, digest: str) -> Path:
        """`candidates/DIGEST/`: one point of the confirmed front."""
        return self.candidates_path / digest

    @property
    def candidates_path(self) -> Path:
        """`candidates/`: the points of the confirmed front."""
        return self.path / "candidates"

    @property
    def workers_path(self) -> Path:
        """`workers/`: a folder for each worker that has joined the run."""
        return self.path / "workers"
