"""`engines/` of a run: what the target's runtime built of candidates while they were timed."""

import json
from pathlib import Path
from typing import Any

from deploy import BuiltEngine
from search.folder.run_folder import RunFolder, damaged


def read_engine(folder: RunFolder, digest: str) -> BuiltEngine | None:
    """The engine that was built of the candidate `digest` and timed; None where none was kept.

    Raises:
        RunFolderError: Its facts cannot be read.
    """
    data, facts = folder.engines_path / f"{digest}.engine", folder.engines_path / f"{digest}.json"
    if not (data.is_file() and facts.is_file()):
        return None
    return BuiltEngine(data=data.read_bytes(), facts=_read_facts(facts))


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise damaged(path, str(error)) from error
