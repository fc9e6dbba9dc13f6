"""A receipt: what a build did that ran no writer, for the next one that finds nothing changed.

What was done is repeated without the settings, the project and the manifest being read again. Like
the record, a receipt can be removed at any time; and whoever repeats what it says checks the result
as if there were none. Imports little, so that such a build takes little time.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hatch_defs_state.refresh import look
from hatch_defs_state.storage.measure import FileEntry, are_sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hatch_defs_state.project import Project
    from hatch_defs_state.refresh.keeping import Holds
    from hatch_defs_state.refresh.workspace import Workspace
    from hatch_defs_state.settings.model import Settings

_NAME = "receipt.json"
_SCHEMA = 1
_SETTLED_NS = 2_000_000_000
"""The coarsest clock of a file system: a file may change twice within one tick of it."""


class _Kept(NamedTuple):
    """A file of the kept generation.

    Attributes:
        path: Its path below the folder of the generation.
        size: Its size in bytes.
        sha256: Digest of its content.
        stamp: Inode and times since it was hashed; `None` where they say nothing.
    """

    path: str
    size: int
    sha256: str
    stamp: Sequence[int] | None


class _Receipt(NamedTuple):
    """What a receipt consists of; made of what JSON can say.

    Attributes:
        schema: Version of this layout.
        circumstances: Digest of what the result depends on besides what is looked at.
        record: Digest of the record of the refresh whose state was used.
        until: When the first state is too old, in seconds since the epoch.
        root: The project's folder.
        defs_folder: The folder of its defs module.
        dagster: Its configuration of Dagster.
        exclude: The setting.
        salt: Of the record.
        subjects: What has to be looked at for each state.
        found: Digest of what was found there.
        generation: Name of the kept generation.
        files: Its files.
        result: What was done with them.
    """

    schema: int
    circumstances: str
    record: str
    until: float | None
    root: str
    defs_folder: str
    dagster: str
    exclude: Sequence[str]
    salt: str
    subjects: Sequence[Sequence[Any]]
    found: str
    generation: str
    files: Sequence[Sequence[Any]]
    result: Any


def find(folder: Path, circumstances: object, holds: Holds) -> Any:
    """Return the result in the receipt of a project; `None` unless nothing at all has changed.

    Args:
        folder: The project's folder in the cache.
        circumstances: What the result depends on besides the project's files and the record.
        holds: Keeps the generation that the result is about.
    """
    try:
        receipt = _Receipt(*json.loads((folder / _NAME).read_bytes()))
        if receipt.schema != _SCHEMA or receipt.circumstances != _digest(circumstances):
            return None
        generation = folder / "generations" / receipt.generation
        holds.hold(generation)
        if look.digest((folder / "record.json").read_bytes()) != receipt.record:
            return None
        if receipt.until is not None and time.time() > receipt.until:
            return None
        if receipt.found != _digest(_look(receipt)) or not _are_sound(receipt, generation):
            return None
    except (OSError, ValueError, TypeError):
        return None
    return receipt.result


def exists(folder: Path) -> bool:
    """Whether there is a receipt in a project's folder."""
    return (folder / _NAME).exists()


def discard(folder: Path) -> None:
    """Remove the receipt of a project, if there is one."""
    (folder / _NAME).unlink(missing_ok=True)


def leave(
    workspace: Workspace,
    project: Project,
    settings: Settings,
    circumstances: object,
    began: float,
    result: object,
) -> None:
    """Leave a receipt in a workspace that holds the generation of its record.

    Writers have to run in the interpreter of the build: another one is not looked at again.

    Args:
        workspace: The project's.
        project: The project.
        settings: Ours.
        circumstances: What `result` depends on besides the project's files and the record.
        began: A moment before the kept files were checked, in seconds since the epoch.
        result: What was done with the generation, made of what JSON can say.
    """
    import uuid

    from hatch_defs_state.refresh.fingerprint import Fingerprints
    from hatch_defs_state.refresh.interpreters.interpreter import current
    from hatch_defs_state.refresh.record import Record

    data = (workspace.folder / "record.json").read_bytes()
    record = Record.parse(data)
    if record is None:
        return
    fingerprints = Fingerprints(project, settings, record.salt, current())
    limits = [(key, settings.of(key).max_age) for key in record.keys]
    ends = [record.keys[key].refreshed_at + age for key, age in limits if age is not None]
    kept = workspace.kept(record)
    receipt = _Receipt(
        schema=_SCHEMA,
        circumstances=_digest(circumstances),
        record=look.digest(data),
        until=min(ends, default=None),
        root=str(project.root),
        defs_folder=str(project.defs_folder),
        dagster=fingerprints.dagster,
        exclude=settings.exclude,
        salt=record.salt,
        subjects=[fingerprints.subject(key.declaration) for key in record.keys.values()],
        found=_digest([record.common, record.declared, [k.parts for k in record.keys.values()]]),
        generation=record.generation,
        files=[
            _Kept(path, *entry, _stamp(kept.files[path], began))
            for path, entry in record.manifest.files.items()
        ],
        result=result,
    )
    temporary = workspace.folder / f"{_NAME}.{uuid.uuid4().hex}"
    temporary.write_text(json.dumps(receipt), encoding="utf-8")
    temporary.replace(workspace.folder / _NAME)


def _look(receipt: _Receipt) -> object:
    """Look at everything again; `changes` of what it returns would name what is different."""
    root = Path(receipt.root)
    return [
        look.common(receipt.exclude),
        look.declared(root, Path(receipt.defs_folder), receipt.dagster),
        [look.state(root, receipt.salt, look.Subject(*subject)) for subject in receipt.subjects],
    ]


def _are_sound(receipt: _Receipt, generation: Path) -> bool:
    """Whether the kept files are as they were; what was not touched since is not read again."""
    touched: dict[str, FileEntry] = {}
    for kept in (_Kept(*file) for file in receipt.files):
        status = (generation / kept.path).stat()
        if status.st_size != kept.size:
            return False
        if kept.stamp != _times(status):
            touched[kept.path] = FileEntry(kept.size, kept.sha256)
    return are_sound(touched, {path: generation / path for path in touched})


def _stamp(path: Path, began: float) -> list[int] | None:
    """Return what changes whenever a file does, if it had settled before a moment."""
    status = path.stat()
    # The time of the last change cannot be set by anybody; on Windows, it is that of the creation.
    if os.name == "nt" or status.st_ctime_ns > began * 1e9 - _SETTLED_NS:
        return None
    return _times(status)


def _times(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _digest(content: object) -> str:
    return look.digest(json.dumps(content, sort_keys=True, default=str).encode())
