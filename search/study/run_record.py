"""Whose run a study is, recorded in the study: it can be gone on with from its database alone, by the same run only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.errors import StorageError
from search.study.address import StudyAddress

if TYPE_CHECKING:
    import optuna

    from hwprofiles import HardwareProfile

RUN = "run"
"""User attribute of the study: `{"format_version": 1, "workload": {...}, "target": {...}, "environment": {...}}`."""

FORMAT_VERSION = 1

_REMEDY = "give the study's own with --study, or leave --study out for a new one; or use another --storage"
# What decides a target's figures, whatever it is called and however it is reached.
_DECISIVE = ("engine", "formats", "sparsity")


def target_identity(profile: "HardwareProfile | Mapping[str, Any]") -> dict[str, Any]:
    """What a target is: not its name, nor how it is reached, since equal boards are one target.

    Args:
        profile: A profile, or one as `run.toml` keeps it.
    """
    stored = profile if isinstance(profile, Mapping) else profile.model_dump(mode="json", exclude_none=True)
    emulated = stored.get("reach", {}).get("transport") == "emulated"
    return {**{name: stored.get(name, {}) for name in _DECISIVE}, "is_emulated": emulated}


def target_difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first difference between two identities, in words; empty where there is none."""
    for name in now:
        before, after = was.get(name), now[name]
        if before != after and isinstance(before, Mapping) and isinstance(after, Mapping):
            key = next(key for key in [*before, *after] if before.get(key) != after.get(key))
            return f"{name}.{key} was {before.get(key)!r}, is {after.get(key)!r}"
        if before != after:
            return f"{name} was {before!r}, is {after!r}"
    return ""


def adopt_run(study: "optuna.Study", config: Mapping[str, Any], address: StudyAddress) -> None:
    """Record in a new study whose it is, or make sure that it was begun for the same workload and target.

    Args:
        study: The study.
        config: The run's configuration, as `run.toml` has it.
        address: Where it lies, for the message.

    Raises:
        StorageError: It is another run's; what differs is named.
    """
    record = _read(study, address)
    if record is None:
        kept = {"format_version": FORMAT_VERSION, "workload": config["workload"], "target": config["target"]}
        study.set_user_attr(RUN, kept)
        return
    was, now = record["workload"], config["workload"]
    if was["digest"] != now["digest"]:
        names = f"was {was['name']!r}, is {now['name']!r}" if was["name"] != now["name"] else f"{now['name']!r} changed"
        raise StorageError(f"the study {address} is of another workload: {names}; {_REMEDY}")
    difference = target_difference(
        target_identity(record["target"]["profile"]), target_identity(config["target"]["profile"])
    )
    if difference:
        raise StorageError(f"the study {address} is of another target: {difference}; {_REMEDY}")


def keep_run_environment(study: "optuna.Study", environment: Mapping[str, Any], address: StudyAddress) -> None:
    """Record in the study what measures, or make sure that it is what has measured before.

    Args:
        study: A study that `adopt_run` has taken.
        environment: As `environment.json` has it.
        address: Where it lies, for the message.

    Raises:
        StorageError: Device or runtime are others; figures of two do not mix.
    """
    record = _read(study, address)
    kept = {name: environment[name] for name in ("device", "hardware_id", "runtime", "versions")}
    if record is None:
        return
    found = record.get("environment")
    if found is None:
        study.set_user_attr(RUN, {**record, "environment": kept})
        return
    for name, what in (("hardware_id", "device"), ("runtime", "runtime")):
        if found[name] != kept[name]:
            raise StorageError(
                f"the study {address} was measured on another {what}: was {found[what]!r} ({found[name]}), is "
                f"{kept[what]!r} ({kept[name]}); figures of two do not mix: {_REMEDY}"
            )


def _read(study: "optuna.Study", address: StudyAddress) -> Mapping[str, Any] | None:
    record: Mapping[str, Any] | None = study.user_attrs.get(RUN)
    if record is not None and record.get("format_version") != FORMAT_VERSION:
        raise StorageError(
            f"the study {address} has format_version {record.get('format_version')}, this paretune reads "
            f"{FORMAT_VERSION}; upgrade paretune"
        )
    return record
