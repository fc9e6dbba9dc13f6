"""Versioned storage beside Dagster's own class and beside bare obstore, in one run.

    python benchmarks/versioned_storage.py [--keys 3000] [--megabytes 500] [--files 2000]

Needs dagster, universal-pathlib, obstore and moto's server. Every measurement runs in a process of
its own, which tells its time and its peak of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.object_servers import ObjectServer, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BARE_WORKERS = 12


def main() -> None:
    """Run all measurements and print their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=3000)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(json.loads(arguments.measure))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commits(folder, arguments.keys)
        with s3_server() as server:
            objects(server, folder, arguments)


def commits(folder: Path, keys: int) -> None:
    """Compare pointers to current versions: one by one, and in one batch."""
    for number in range(keys):
        file = folder / "states" / f"{number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"state %d" % number)
    job = {"keys": keys, "states": str(folder / "states")}
    dagster = run({**job, "name": "dagster_one_by_one", "store": str(folder / "dagster")})
    single = run({**job, "name": "ours_one_by_one", "store": str(folder / "single")})
    batch = run({**job, "name": "ours_batch", "store": str(folder / "batch")})
    print(f"{keys} keys, local disk")
    show("Dagster's class, one by one", dagster)
    show("one by one", single, dagster, 0.1)
    show("one batch", batch, dagster, 0.01)


def objects(server: ObjectServer, folder: Path, arguments: argparse.Namespace) -> None:
    """Compare transfers to S3 with bare obstore."""
    large = folder / "large" / "state"
    large.parent.mkdir()
    with large.open("wb") as file:
        for _ in range(arguments.megabytes):
            file.write(os.urandom(1 << 20))
    many = folder / "many" / "state"
    many.mkdir(parents=True)
    for number in range(arguments.files):
        (many / f"{number}.json").write_bytes(os.urandom(10_000))
    shapes = {
        f"{arguments.megabytes} MB in one state": (large.parent, 1.2, "one key"),
        f"{arguments.files} x 10 KB in one state": (many.parent, 1.5, "one key"),
        f"{arguments.files} x 10 KB in as many states": (many, 1.5, "many keys"),
    }
    for title, (source, limit, shape) in shapes.items():
        best: dict[str, dict[str, float]] = {}
        for attempt in range(arguments.repeat):
            for who in ("bare", "ours"):
                url = server.new_url()
                for way in ("up", "down"):
                    job = {
                        "name": f"{who}_{way}",
                        "url": url,
                        "options": dict(server.options),
                        "source": str(source),
                        "shape": shape,
                        "target": str(folder / f"{shape} {who} {attempt} {source.name}"),
                    }
                    found = run(job)
                    known = best.setdefault(f"{who}_{way}", found)
                    known["seconds"] = min(known["seconds"], found["seconds"])
                    known["megabytes"] = max(known["megabytes"], found["megabytes"])
        print(f"{title}, S3 (moto), best of {arguments.repeat}")
        for way in ("up", "down"):
            show(f"bare obstore, {way}", best[f"bare_{way}"])
            show(f"versioned storage, {way}", best[f"ours_{way}"], best[f"bare_{way}"], limit)


def run(job: dict[str, Any]) -> dict[str, float]:
    """Measure one job in a process of its own."""
    command = [sys.executable, __file__, "--measure", json.dumps(job)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def show(
    title: str,
    found: dict[str, float],
    other: dict[str, float] | None = None,
    limit: float | None = None,
) -> None:
    """Print a measurement, and its ratio to another one."""
    line = f"  {title:32} {found['seconds']:8.2f} s {found['megabytes']:7.0f} MB"
    if other and limit:
        ratio = found["seconds"] / other["seconds"]
        line += f"   ratio {ratio:.4f} (limit {limit:g})"
    print(line, flush=True)


def measure(job: dict[str, Any]) -> None:
    """Do a job, and print its time and this process's peak of memory."""
    work = JOBS[job["name"]](job)
    next(work)
    started = time.perf_counter()
    for _ in work:
        pass
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak}))


def dagster_one_by_one(job: dict[str, Any]) -> Iterator[None]:
    """Upload every key through Dagster's class, which sets the pointer each time."""
    from dagster import DagsterInstance
    from dagster._core.storage.defs_state import UPathDefsStateStorage
    from upath import UPath

    root = Path(job["store"])
    (root / "home").mkdir(parents=True)
    with DagsterInstance.local_temp(str(root / "home")) as instance:
        storage: Any = UPathDefsStateStorage(UPath(root / "states"))
        storage.register_instance(instance)
        yield
        for number in range(job["keys"]):
            state = Path(job["states"]) / str(number)
            storage.upload_state_from_path(f"team/key_{number}", f"version-{number}", state)
    yield


def ours_one_by_one(job: dict[str, Any]) -> Iterator[None]:
    """Push every key in a commit of its own."""
    from hatch_defs_state.storage.versioned import VersionedStorage

    storage = VersionedStorage(job["store"])
    yield
    for number in range(job["keys"]):
        storage.push({f"team/key_{number}": Path(job["states"]) / str(number)})
    yield


def ours_batch(job: dict[str, Any]) -> Iterator[None]:
    """Push all keys in one commit."""
    from hatch_defs_state.storage.versioned import VersionedStorage

    storage = VersionedStorage(job["store"])
    yield
    states = {
        f"team/key_{number}": Path(job["states"]) / str(number) for number in range(job["keys"])
    }
    storage.push(states)
    yield


def folders_of(job: dict[str, Any]) -> dict[str, Path]:
    """Return the states to push: all files as one key's, or each as a key's."""
    source = Path(job["source"])
    if job["shape"] == "one key":
        return {"key": source}
    return {file.name: file for file in sorted(source.iterdir())}


def ours_up(job: dict[str, Any]) -> Iterator[None]:
    """Push to a store that is new."""
    from hatch_defs_state.storage.versioned import VersionedStorage

    storage = VersionedStorage(job["url"], options=job["options"])
    yield
    storage.push(folders_of(job))
    yield


def ours_down(job: dict[str, Any]) -> Iterator[None]:
    """Fetch all that the head names."""
    from hatch_defs_state.storage.versioned import VersionedStorage

    storage = VersionedStorage(job["url"], options=job["options"])
    target = Path(job["target"])
    target.mkdir()
    yield
    head = storage.head()
    storage.fetch_all({key: value.version for key, value in head.versions.items()}, target)
    yield


def bare_up(job: dict[str, Any]) -> Iterator[None]:
    """Put the same files with obstore alone."""
    import obstore

    store = bare_store(job)
    source = Path(job["source"])
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    yield
    with ThreadPoolExecutor(BARE_WORKERS) as pool:
        done = pool.map(
            lambda file: obstore.put(store, file.relative_to(source).as_posix(), file), files
        )
        list(done)
    yield


def bare_down(job: dict[str, Any]) -> Iterator[None]:
    """Get the same files with obstore alone."""
    import obstore

    store = bare_store(job)
    target = Path(job["target"])
    target.mkdir()
    paths = [meta["path"] for meta in obstore.list(store).collect()]
    yield

    def get(path: str) -> None:
        with (target / path.replace("/", "_")).open("wb") as file:
            for chunk in obstore.get(store, path).stream():
                file.write(chunk)

    with ThreadPoolExecutor(BARE_WORKERS) as pool:
        list(pool.map(get, paths))
    yield


def bare_store(job: dict[str, Any]) -> Any:
    """Return obstore's own store for the URL of a job."""
    from obstore.store import from_url

    return from_url(job["url"], **job["options"])


JOBS: dict[str, Callable[[dict[str, Any]], Iterator[None]]] = {
    work.__name__: work
    for work in (
        dagster_one_by_one,
        ours_one_by_one,
        ours_batch,
        ours_up,
        ours_down,
        bare_up,
        bare_down,
    )
}

if __name__ == "__main__":
    main()
