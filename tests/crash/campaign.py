"""Ends the publishing of a generation at each of its moments, and notes what a reader finds then.

Runs by itself, because forks of a process with threads are not sound and the runner of the tests
may have some. Usage: `python -m tests.crash.campaign HOW WAY FOLDER`, which prints a list
of `Findings`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hatch_defs_state.storage import exchange, generation, publish
from tests.crash import generations, moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAYS = ("exchange", "two renames", "copy")
"""Ways of putting a folder in the place of another one.

`copy` is that of folders which cannot be renamed, in the lower layer of an overlay file system.
"""

REFUSABLE = {"mkdir", "open", "write", "fsync", "rename", "unlink", "rmdir", "exchange", "syncfs"}


@dataclass
class Findings:
    """What was found.

    Attributes:
        ended: How often publishing, or recovering, was ended before its end.
        calls: The calls into the system before which it was ended, by name.
        seen: What a reader found thereafter; after the name of how the call ended, when it was not
            killed.
        settled: What a reader found after the next start had recovered.
        published: What a reader found after the next start had published another generation.
        litter: What lay beside the target after the next start.
    """

    ended: int = 0
    calls: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    litter: set[str] = field(default_factory=set)

    def add(self, other: Findings) -> None:
        """Add what was found in another part of the campaign."""
        self.ended += other.ended
        for name in ("calls", "seen", "settled", "published", "litter"):
            getattr(self, name).update(getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """Return all attributes, sets as sorted lists."""
        return {k: sorted(v) if isinstance(v, set) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Findings:
        """Read what `to_json` returned."""
        known: dict[str, Any] = {k: set(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**known)


class Place:
    """A folder with generations to publish and a target.

    Attributes:
        target: Where generations are published.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "scratch").mkdir(parents=True)
        self._made = {n: generations.make(n, folder / "scratch") for n in ("old", "new", "next")}
        self.target = folder / "defs" / generation.FOLDER_NAME
        self.notes = folder / "notes"

    def publish(self, name: str) -> None:
        """Publish a generation."""
        publish.publish(self._made[name], self.target)

    def reset(self, sample: Path | None = None) -> None:
        """Start again with the generation `old`, or with a copy of `sample`."""
        shutil.rmtree(self.target.parent, ignore_errors=True)
        if sample is not None:
            shutil.copytree(sample, self.target.parent)
        else:
            generation.write(self._made["old"], self.target)

    def reset_to_nothing(self) -> None:
        """Start again without any generation."""
        shutil.rmtree(self.target.parent, ignore_errors=True)
        self.target.parent.mkdir()

    def keep_sample(self) -> Path | None:
        """Copy what lies in the place now, when nothing of its kind has been kept before."""
        beside = (generation.beside(self.target, suffix) for suffix in ("new", "old", "copy"))
        kinds = [generations.seen_in(self.target)] + [
            ("whole" if generation.is_whole(each) else "torn") if each.exists() else "none"
            for each in beside
        ]
        sample = self._folder / "samples" / "-".join(kinds)
        if sample.exists():
            return None
        return Path(shutil.copytree(self.target.parent, sample))


@contextlib.contextmanager
def swapping(way: str, target: Path) -> Iterator[None]:
    """Let folders be swapped in this way alone."""
    rename = Path.rename

    def rename_upper_layer(source: Path, destination: Path) -> Path:
        if source == target and destination == generation.beside(target, "old"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(source, destination)

    with contextlib.ExitStack() as patches:
        # Nobody swaps folders while these readers look, so that they need not wait for the end.
        patches.enter_context(patch.object(generation, "_PAUSES", (0.0,)))
        if way != "exchange":
            patches.enter_context(patch.object(exchange, "_exchange_call", lambda: None))
        if way == "two renames":
            # Where folders cannot be exchanged, whole file systems cannot be synced either.
            patches.enter_context(patch.object(exchange, "_sync_file_system", lambda _: False))
        if way == "copy":
            patches.enter_context(patch.object(Path, "rename", rename_upper_layer))
        yield


def kill_publishing(place: Place, reset: Callable[[], None]) -> tuple[Findings, list[Path]]:
    """Kill the publishing of `new` at every moment.

    Returns:
        What was found, and a sample of every kind of folders that was left behind.
    """
    findings = Findings()
    samples: list[Path] = []

    def call() -> None:
        place.publish("new")

    reset()
    names = moments.moments(call, place.notes)
    reset()
    while moments.kill_at(findings.ended, call):
        _look_after_a_kill(place, findings, samples)
        reset()
    assert findings.ended >= len(names)
    findings.calls.update(filter(None, map(moments.system_call, names)))
    return findings, samples


def kill_around_changes(
    place: Place, reset: Callable[[], None], call: Callable[[], None]
) -> tuple[Findings, list[Path]]:
    """Kill a call before and after each system call that changes what is on the disk, or syncs it.

    Returns:
        What was found, and a sample of every kind of folders that was left behind.
    """
    findings = Findings()
    samples: list[Path] = []
    reset()
    calls = [moments.system_call(name) for name in moments.moments(call, place.notes)]
    changing = [n for n, name in enumerate(calls) if name in moments.CHANGES | moments.SYNCS]
    for number in sorted({*changing, *(n + 1 for n in changing)}):
        reset()
        assert moments.kill_at(number, call)
        _look_after_a_kill(place, findings, samples)
    findings.calls.update(filter(None, calls))
    return findings, samples


def kill_recovering(place: Place, samples: list[Path]) -> Findings:
    """Kill the recovery of everything that a killed publishing leaves behind."""
    total = Findings()
    for sample in samples:
        reset = functools.partial(place.reset, sample)
        found, _ = kill_around_changes(place, reset, lambda: publish.recover(place.target))
        total.add(found)
    return total


def _look_after_a_kill(place: Place, findings: Findings, samples: list[Path]) -> None:
    sample = place.keep_sample()
    samples.extend([sample] if sample else [])
    findings.ended += 1
    findings.seen.add(generations.seen_in(place.target))
    publish.recover(place.target)
    findings.settled.add(generations.seen_in(place.target))
    findings.litter.update(generations.litter(place.target))
    place.publish("next")
    findings.published.add(generations.seen_in(place.target))
    findings.litter.update(generations.litter(place.target))


def fail_publishing(
    place: Place,
    reset: Callable[[], None],
    end: Callable[[], None],
    is_meant: Callable[[str], bool],
) -> Findings:
    """Let something raise at moments of the publishing of `new`.

    Args:
        place: Where.
        reset: Prepares the place.
        end: Raises.
        is_meant: Picks moments by name.
    """
    findings = Findings()
    reset()
    names = moments.moments(lambda: place.publish("new"), place.notes)
    for number in (number for number, name in enumerate(names) if is_meant(name)):
        reset()
        status = moments.end_at(number, lambda: place.publish("new"), end)
        findings.ended += 1
        findings.seen.add(f"{moments.ENDS[status]}: {generations.seen_in(place.target)}")
        publish.recover(place.target)
        findings.litter.update(generations.litter(place.target))
    calls = filter(None, map(moments.system_call, filter(is_meant, names)))
    findings.calls.update(calls)
    return findings


def main(how: str, way: str, folder: str) -> None:
    """Run one campaign and print its findings."""
    place = Place(Path(folder))
    resets = {"replace": place.reset, "first": place.reset_to_nothing}
    with swapping(way, place.target):
        # What is done once in a process is done now, so that all forks do the same.
        place.reset()
        place.publish("new")
        kind, _, situation = how.partition("-")
        reset = resets[situation]
        if kind == "kill":
            if way == "copy":
                publishing, samples = kill_around_changes(
                    place, reset, lambda: place.publish("new")
                )
            else:
                publishing, samples = kill_publishing(place, reset)
            found = [publishing, kill_recovering(place, samples)]
        elif kind == "refuse":
            found = [fail_publishing(place, reset, moments.refuse, _can_be_refused)]
        else:
            found = [fail_publishing(place, reset, moments.interrupt, _can_be_interrupted)]
    print(json.dumps([findings.to_json() for findings in found]))  # noqa: T201


def _can_be_refused(moment: str) -> bool:
    return moments.system_call(moment) in REFUSABLE


def _can_be_interrupted(moment: str) -> bool:
    """Python calls handlers of signals between its own instructions."""
    return moment.startswith(("line ", "return ", "c_return "))


if __name__ == "__main__":
    main(*sys.argv[1:])
