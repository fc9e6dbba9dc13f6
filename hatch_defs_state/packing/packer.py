"""A PEX of projects with their state, which does not boot without it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.pex import PexFile, is_pex, verify_pex
from hatch_defs_state.errors import ArtifactError, DefsStateError, ToolError, raise_all
from hatch_defs_state.packing.tools import find_pex, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hatch_defs_state.packing.parts import Part
    from hatch_defs_state.packing.tools import Log, Tool

PROPERTY = "defs-state"
"""The build property that has the digest of each project's state, by the project's name."""

_LISTS = frozenset(
    {
        "--requirement",
        "--lock",
        "--pylock",
        "--pex-repository",
        "--pre-resolved-dist",
        "--pre-resolved-dists",
        "--venv-repository",
    }
)
"""Options of pex that say what to pack, or where that is taken from."""


@dataclass(frozen=True)
class Packed:
    """A PEX that was built and read back.

    Attributes:
        pex: The PEX, at its final place.
        parts: The projects in it.
        tool: What built it.
    """

    pex: PexFile
    parts: tuple[Part, ...]
    tool: str


class Packer:
    """Builds one PEX.

    Args:
        output: Where the PEX is to be; a PEX that is there is replaced, once the new one is whole.
        options: Options of pex.

    Raises:
        DefsStateError: Pex is not installed, or something else is at `output`.
    """

    def __init__(self, output: Path, options: Sequence[str]) -> None:
        self._output = output.absolute()
        self._options = tuple(options)
        if self._output.is_dir() and not is_pex(self._output) and any(self._output.iterdir()):
            raise ArtifactError(
                f"{output} is a folder that is no PEX, and would be replaced",
                hint="name a file, or a folder that does not exist yet, with -o",
            )
        self._tool: Tool = find_pex()

    def pack(self, parts: Sequence[Part], log: Log) -> Packed:
        """Build the PEX, read it back, and put it in its place.

        Args:
            parts: The projects.
            log: Receives lines about the build.

        Raises:
            DefsStateError: Pex fails, or what it made does not carry the state; what was at the
                output before is still there.
        """
        _check_names(parts)
        self._output.parent.mkdir(parents=True, exist_ok=True)
        log.say(f"building {self._output.name} with {self._tool.name}")
        with tempfile.TemporaryDirectory(prefix=".defs-state-", dir=self._output.parent) as name:
            # Pex puts what else it makes (scies) beside its output.
            made = Path(name, "made", self._output.name)
            made.parent.mkdir()
            # Pex takes requirements as arguments in one place only, which is the user's.
            listed = Path(name, "requirements.txt")
            lines = [line for part in parts for line in self._requirements(part)]
            listed.write_text("\n".join(lines), encoding="utf-8")
            arguments = [*self._arguments(parts), "-r", str(listed), "-o", str(made)]
            run(self._tool, arguments, log, str(self._output))
            if made.is_dir():
                # Pex makes the folder of a loose one for its owner alone.
                made.chmod(made.parent.stat().st_mode)
            pex = verify_pex(made)
            raise_all(_differences(pex, parts))
            for path in sorted(made.parent.iterdir()):
                _replace(path, self._output.parent / path.name)
        final = PexFile(self._output, pex.layout, pex.states, pex.bound)
        return Packed(final, tuple(parts), self._tool.name)

    def _requirements(self, part: Part) -> tuple[str, ...]:
        """Return what pex has to resolve for a project.

        The dependencies of sources are left to the user's own list, where there is one: pip takes
        no distribution twice.
        """
        given = {option.partition("=")[0] for option in self._options}
        short = any(option.startswith("-r") for option in self._options)
        if part.sources is not None and (short or given & _LISTS):
            return ()
        return part.requirements

    def _arguments(self, parts: Sequence[Part]) -> Iterator[str]:
        for part in parts:
            if part.sources is not None:
                yield from ("-D", str(part.sources))
            yield from ("--bind-resource-path", f"{part.variable}={part.manifest}")
        digests = {part.name: part.state.manifest.digest for part in parts}
        yield from ("--build-property", f"{PROPERTY}={json.dumps(digests, sort_keys=True)}")
        yield from self._options


def _check_names(parts: Sequence[Part]) -> None:
    """Refuse projects that would stand for each other in the PEX."""
    for what, values in (
        ("name", [part.variable for part in parts]),
        ("state folder", [part.state.folder for part in parts]),
    ):
        for part, value in zip(parts, values, strict=True):
            if values.count(value) > 1:
                raise ToolError(
                    f"two projects have the same {what}: {part.name} ({part.state.folder})",
                    hint="build a PEX for each",
                )


def _differences(pex: PexFile, parts: Sequence[Part]) -> Iterator[DefsStateError]:
    found = {state.folder: state for state in pex.states}
    for part in parts:
        state = found.get(part.state.folder)
        if state is None:
            yield ArtifactError(f"{pex.path.name} does not carry the state of {part.name}")
        elif state.data != part.state.data:
            yield ArtifactError(
                f"{pex.path.name} carries other state of {part.name} than was put into it: digest "
                f"{state.manifest.digest[:12]}, not {part.state.manifest.digest[:12]}"
            )
        elif pex.boots_without(state):
            yield ArtifactError(f"{pex.path.name} would boot without the state of {part.name}")


def _replace(source: Path, target: Path) -> None:
    """Move a file or a folder in the place of an older one, which is left beside `source`."""
    old = source.with_name(f"{source.name}.old")
    if target.is_dir() and not target.is_symlink():
        target.rename(old)
    try:
        source.replace(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
