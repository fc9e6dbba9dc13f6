"""Every error that a user can meet, in one tree.

An error says what happened, where (state key, file, line), and what to do about it. Adapters print
`str(error)` and nothing else: no traceback is shown for anything in this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class SourceLocation:
    """A place in a text file of the project.

    Attributes:
        file: Path relative to the project's root, with forward slashes; absolute when outside it.
        line: Line number, counted from 1; `None` when the file as a whole is meant.
        column: Column number, counted from 1; `None` when the line as a whole is meant.
    """

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __lt__(self, other: SourceLocation) -> bool:
        return self._position < other._position

    @property
    def _position(self) -> tuple[str, int, int]:
        return self.file, self.line or 0, self.column or 0


class DefsStateError(Exception):
    """Base of all errors of this package.

    Attributes:
        message: What happened, in one sentence.
        key: The state key that is concerned, if one is.
        location: The file, line and column that caused it, if known.
        hint: What the user can do about it.
        output: What the failing process printed, when that explains the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        location: SourceLocation | None = None,
        hint: str | None = None,
        output: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.location = location
        self.hint = hint
        self.output = output

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        subject = f"[{self.key}] " if self.key is not None else ""
        lines = [f"{where}{subject}{self.message}"]
        if self.output and self.output.strip():
            lines.append("  output of the writer:" if self.key is not None else "  output:")
            lines.extend(f"    | {line}".rstrip() for line in self.output.rstrip().splitlines())
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class SettingsError(DefsStateError):
    """A setting is unknown, ill-typed, out of range or given twice."""


class OptionError(SettingsError):
    """An option of the command line has a value that it cannot have."""


class ProjectError(DefsStateError):
    """The project on disk is not laid out as its configuration says."""


class InterpreterError(DefsStateError):
    """The interpreter that is to run writers cannot be found, made or used."""


class ComponentError(DefsStateError):
    """A component cannot be declared or loaded: bad YAML, unknown type, wrong attribute."""


class KeyConflictError(DefsStateError):
    """A state key cannot be a folder name, or two components claim one folder."""


class ToolError(DefsStateError):
    """A program that is needed is not installed, too old, or failed."""


class WriterError(DefsStateError):
    """A writer raised, died, was killed or ran out of time."""


class StateError(DefsStateError):
    """What a writer left behind is not acceptable as state."""


class ManifestError(DefsStateError):
    """A manifest is missing, unreadable, or contradicts the files that it describes."""


class ArtifactError(DefsStateError):
    """A built archive does not hold what it has to hold."""


class StorageError(DefsStateError):
    """Versioned storage cannot do what was asked of it."""


class StoreUnavailableError(StorageError):
    """An object store did not answer, or not in a usable way, for as long as we tried."""


class StoreAccessError(StorageError):
    """An object store refuses the credentials, or what they are allowed to do."""


class StoreRefusedError(StorageError):
    """An object store lacks what versioned storage is built on, so that commits could be lost."""


class StoreFormatError(StorageError):
    """What lies in an object store was not written by this version of versioned storage."""


class CommitContentionError(StorageError):
    """Others kept committing faster than this commit could be written."""


class CommitNotFoundError(StorageError):
    """There is no commit with that serial number."""


class VersionNotFoundError(StorageError):
    """There is no content for that version of a key."""


class VersionConflictError(StorageError):
    """A version identifier is already taken by other content, or by another key."""


class ReloadError(DefsStateError):
    """A code location was to be reloaded, and was not, or does not load."""


class ObjectExistsError(StorageError):
    """An object was to be created, and one of that name is there already."""


class ObjectNotFoundError(StorageError):
    """There is no object of that name."""


class DamagedObjectError(StorageError):
    """An object of versioned storage is missing, truncated, altered or swapped.

    Attributes:
        object_path: Path of the object below the base of the store.
        version: The version of the key that needs it, if it is one's.
    """

    def __init__(
        self,
        message: str,
        *,
        object_path: str,
        key: str | None = None,
        version: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, key=key, hint=hint)
        self.object_path = object_path
        self.version = version


class CombinedError(DefsStateError):
    """Several independent errors that are reported together.

    Attributes:
        errors: The errors, none of them a `CombinedError` itself.
    """

    def __init__(self, errors: Sequence[DefsStateError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def from_os_error(error: OSError) -> DefsStateError:
    """Return what the operating system refused (full disk, missing permission) as an error."""
    where = f": {error.filename}" if error.filename else ""
    return DefsStateError(f"the system refuses: {error.strerror or error}{where}")


def advise(error: DefsStateError, hint: str) -> None:
    """Say what to do about an error, once for all that are combined, where nothing was said yet."""
    last = flatten([error])[-1]
    last.hint = last.hint or hint


def flatten(errors: Iterable[DefsStateError]) -> tuple[DefsStateError, ...]:
    """Return `errors` with every `CombinedError` replaced by what it holds."""
    flat: list[DefsStateError] = []
    for error in errors:
        flat.extend(error.errors if isinstance(error, CombinedError) else (error,))
    return tuple(flat)


def raise_all(errors: Iterable[DefsStateError]) -> None:
    """Raise the one error, or all of them together; do nothing when there is none.

    Raises:
        DefsStateError: The only error in `errors`.
        CombinedError: When there are several.
    """
    flat = flatten(errors)
    if len(flat) == 1:
        raise flat[0]
    if flat:
        raise CombinedError(flat)
