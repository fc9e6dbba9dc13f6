"""Publishes to a disk with less and less space, and notes what became of it.

Runs by itself, in mounts of its own. Usage: `python -m tests.crash.full_disk KIND FOLDER`, which
prints a `Findings`. `KIND` is `disk` where a small file system can be mounted (by root, or by
anyone with `unshare --map-root-user --mount`), or `limit`, where the size of files is limited
instead.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_defs_state.errors import StateError
from hatch_defs_state.storage import generation
from tests.crash import generations
from tests.crash.campaign import Place
from tests.crash.refreshes import RefreshedProject

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 4096
_DISK_PAGES = 400
_DISK_FILES = 200


@dataclass
class Findings:
    """What was found.

    Attributes:
        failed: How often publishing failed for want of space.
        seen: How publishing ended, with what a reader found thereafter.
        messages: The errors.
        litter: What lay beside the target thereafter, and after the next start, which had space.
        commands: Of `defs-state refresh`: exit status, what was printed, and what a reader found.
    """

    failed: int = 0
    seen: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)
    commands: list[tuple[int, str, list[str]]] = field(default_factory=list)


class Disk:
    """A small file system."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        size = f"size={_DISK_PAGES * PAGE},nr_inodes={_DISK_FILES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], check=True)
        self.folder = folder

    @contextlib.contextmanager
    def with_pages_left(self, pages: int) -> Iterator[None]:
        """Leave so much space within the block."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(PAGE))
            file.truncate(max(0, file.tell() - pages * PAGE))
        yield
        filler.unlink()

    @contextlib.contextmanager
    def with_files_left(self, files: int) -> Iterator[None]:
        """Let so many files and folders be made within the block."""
        fillers = []
        with contextlib.suppress(OSError):
            for number in range(_DISK_FILES):
                fillers.append(self.folder / f"filler{number}")
                fillers[-1].touch()
        for filler in fillers[-files - 1 :]:
            filler.unlink(missing_ok=True)
        yield
        for filler in fillers:
            filler.unlink(missing_ok=True)


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let files grow to this size within the block; more is refused."""
    import resource  # not everywhere

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def publish(place: Place, lack: contextlib.AbstractContextManager[None], found: Findings) -> None:
    """Publish `new` in place of `old` while something lacks, then `next` while nothing does."""
    place.reset()
    with lack:
        end = "published"
        try:
            place.publish("new")
        except StateError as error:
            end = "StateError"
            found.failed += 1
            found.messages.append(str(error).replace(str(place.target), "TARGET"))
        found.seen.append(f"{end}: {generations.seen_in(place.target)}")
        found.litter.extend(generations.litter(place.target))
    place.publish("next")
    found.litter.extend(generations.litter(place.target))


def refresh(project: RefreshedProject, disk: Disk, pages: int, found: Findings) -> None:
    """Run the command with so much space, and once more with enough."""
    with disk.with_pages_left(pages):
        process = project.start("failing")
        _, stderr = process.communicate(timeout=60)
        printed = stderr.replace(str(project.target), "TARGET")
        generation.read(project.target)
        seen = sorted(generations.authors(project.target))
        found.commands.append((process.returncode, printed, seen))
    project.refresh("before")
    found.litter.extend(project.litter())


def main(kind: str, folder: Path) -> None:
    """Run all and print what was found."""
    found = Findings()
    if kind == "limit":
        place = Place(folder / "place")
        for size in range(0, generations.BIG + PAGE, PAGE // 4):
            publish(place, files_no_larger_than(size), found)
    else:
        disk = Disk(folder / "disk")
        place = Place(disk.folder / "place")
        for pages in range(24):
            publish(place, disk.with_pages_left(pages), found)
        for files in range(12):
            publish(place, disk.with_files_left(files), found)
        project = RefreshedProject(folder, disk.folder)
        project.refresh("before")
        for pages in (0, 7, 60):
            refresh(project, disk, pages, found)
    print(json.dumps(asdict(found)))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
