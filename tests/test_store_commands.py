"""`defs-state store`: what it prints, which store it works on, and with which exit status."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hatch_defs_state.cli import main
from hatch_defs_state.storage.versioned import VersionedStorage
from tests.support.object_servers import s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
VERSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Result(NamedTuple):
    status: object
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Store = "Callable[..., Result]"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder without a project, and without a store in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("DEFS_STATE_STORE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run `defs-state store` with some arguments."""

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["defs-state", "store", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Result(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VersionedStorage:
    """A store with three commits, which the environment names."""
    storage = VersionedStorage(tmp_path / "store")
    for number in (1, 2):
        folder = tmp_path / "states" / str(number)
        (folder / "project").mkdir(parents=True)
        (folder / "state").write_text("x" * 1000 * number)
        (folder / "project" / "same.sql").write_text("select 1")
        (folder / "project" / f"new{number}.sql").write_text(f"select {number + 1}")
        storage.push({"dbt[shop]": folder, "plain": folder / "state"}, f"nightly {number}")
    storage.set_version("plain", None, "drop it")
    monkeypatch.setenv("DEFS_STATE_STORE", storage.url)
    return storage


def table(text: str) -> list[list[str]]:
    """Return the cells of a printed table; columns are at least two spaces apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def matching(pattern: str, cells: list[str]) -> list[str]:
    return [re.sub(pattern, "…", cell) for cell in cells]


def test_help_lists_the_commands(store: Callable[..., Result]) -> None:
    result = store("--help")
    assert result.status == 0
    for name in ("log", "show", "diff", "rollback", "pin", "gc", "verify"):
        assert re.search(rf"^  {name} +\S", result.out, re.MULTILINE)
        assert "Examples:" in store(name, "--help").out


def test_log(store: Callable[..., Result], history: VersionedStorage) -> None:
    history.rollback(2)
    history.rollback(1, "by hand")
    result = store("log")
    assert (result.status, result.err) == (0, "")
    assert [matching(TIME, row) for row in table(result.out)] == [
        ["COMMIT", "TIME", "CHANGED KEYS", "MESSAGE"],
        ["5", "…", "2", "by hand (rolls back to 1)"],
        ["4", "…", "1", "roll back to 2"],
        ["3", "…", "1", "drop it"],
        ["2", "…", "2", "nightly 2"],
        ["1", "…", "2", "nightly 1"],
    ]
    assert len(table(store("log", "-n", "2").out)) == 3


def test_log_as_json(store: Callable[..., Result], history: VersionedStorage) -> None:
    document = store("log", "--json", "-n", "2").document
    first = document["commits"][0]
    assert document["store"] == history.url
    assert [commit["serial"] for commit in document["commits"]] == [3, 2]
    assert re.fullmatch(ISO, first.pop("at"))
    assert first == {
        "serial": 3,
        "message": "drop it",
        "rollback_of": None,
        "changes": {"plain": None},
    }


def test_show(store: Callable[..., Result], history: VersionedStorage) -> None:
    lines = store("show", "2").out.splitlines()
    assert re.sub(TIME, "…", lines[0]) == "commit 2, …: nightly 2"
    versions = {key: value.version for key, value in history.commit(2).versions.items()}
    assert [matching(TIME, row) for row in table("\n".join(lines[1:]))] == [
        ["KEY", "VERSION", "CURRENT SINCE"],
        ["dbt[shop]", versions["dbt[shop]"], "…"],
        ["plain", versions["plain"], "…"],
    ]
    document = store("show", "head~1", "--json").document
    assert document["serial"] == 2
    assert {key: value["version"] for key, value in document["versions"].items()} == versions
    assert re.fullmatch(ISO, document["versions"]["plain"]["since"])
    assert store("show", "--json").document["versions"].keys() == {"dbt[shop]"}


def test_show_a_key(store: Callable[..., Result], history: VersionedStorage) -> None:
    version = history.head().version_of("dbt[shop]")
    lines = store("show", "head", "dbt[shop]").out.splitlines()
    assert lines[0] == f"dbt[shop] at commit 3: version {version}, 3 files, 2.0 kB"
    assert [row[:2] for row in table("\n".join(lines[1:]))] == [
        ["FILE", "SIZE"],
        ["project/new2.sql", "8 B"],
        ["project/same.sql", "8 B"],
        ["state", "2.0 kB"],
    ]
    document = store("show", "3", "dbt[shop]", "--json").document
    assert (document["version"], document["size"]) == (version, 2016)
    manifest = history.describe("dbt[shop]", str(version))
    assert document["files"] == {
        path: {"size": entry.size, "sha256": entry.sha256} for path, entry in manifest.files.items()
    }
    result = store("show", "3", "plain")
    assert (result.status, result.out) == (1, "")
    assert result.err == "error: commit 3 has no key 'plain'\n  hint: it has: dbt[shop]\n"


def test_diff(store: Callable[..., Result], history: VersionedStorage) -> None:
    old, new = (str(history.commit(serial).version_of("dbt[shop]"))[:8] for serial in (1, 3))
    plain = str(history.commit(1).version_of("plain"))[:8]
    result = store("diff", "1")
    assert result.status == 3
    assert table(result.out) == [
        ["KEY", "CHANGE", "OLD", "NEW"],
        ["dbt[shop]", "changed", old, new],
        ["plain", "removed", plain, "-"],
        ["2 keys differ between commit 1 and commit 3"],
    ]
    assert table(store("diff", "1", "--verbose").out)[:-1] == [
        ["KEY", "FILE", "CHANGE", "OLD SIZE", "NEW SIZE"],
        ["dbt[shop]", "project/new1.sql", "removed", "8 B", "-"],
        ["dbt[shop]", "project/new2.sql", "added", "-", "8 B"],
        ["dbt[shop]", "state", "changed", "1.0 kB", "2.0 kB"],
        ["plain", "state", "removed", "1.0 kB", "-"],
    ]
    equal = store("diff", "3", "head")
    assert (equal.status, equal.out) == (0, "nothing differs between commit 3 and commit 3\n")


def test_diff_as_json(store: Callable[..., Result], history: VersionedStorage) -> None:
    result = store("diff", "2", "1", "--json")
    plain = [str(history.commit(serial).version_of("plain")) for serial in (2, 1)]
    assert result.status == 3
    assert (result.document["old"], result.document["new"]) == (2, 1)
    assert result.document["changes"][1] == {
        "key": "plain",
        "change": "changed",
        "old": plain[0],
        "new": plain[1],
        "files": [{"path": "state", "change": "changed", "old_size": 2000, "new_size": 1000}],
    }
    assert store("diff", "1", "1", "--json").document["changes"] == []


def test_diff_between_a_state_with_siblings_and_one_without(
    store: Callable[..., Result], history: VersionedStorage, tmp_path: Path
) -> None:
    history.push({"dbt[shop]": tmp_path / "states" / "2" / "state"})
    (change,) = store("diff", "2", "--json").document["changes"][:1]
    assert [file["path"] for file in change["files"]] == ["project/new2.sql", "project/same.sql"]


def test_rollback(store: Callable[..., Result], history: VersionedStorage) -> None:
    result = store("rollback", "1")
    assert (result.status, result.out) == (0, "commit 4 rolls back to commit 1: 2 keys changed\n")
    assert history.head().message == "roll back to 1"
    again = store("rollback", "1", "--message", "again")
    assert again.out == "commit 4 has the versions of commit 1 already: nothing was changed\n"
    document = store("rollback", "head~1", "-m", "forth", "--json").document
    assert re.fullmatch(ISO, document.pop("at"))
    assert document == {
        "store": history.url,
        "committed": True,
        "serial": 5,
        "message": "forth",
        "rollback_of": 3,
        "changes": {
            "dbt[shop]": history.commit(3).version_of("dbt[shop]"),
            "plain": None,
        },
    }
    for commit, reason in (
        ("head~5", f"there is nothing before the first commit in {history.url} to roll back to"),
        ("head~6", f"there is no commit head~6 in {history.url}: the newest one is 5"),
    ):
        beyond = store("rollback", commit)
        assert (beyond.status, beyond.err.splitlines()[0]) == (1, f"error: {reason}")
    assert history.head().serial == 5
    missing = store("rollback", "77")
    assert missing.status == 1
    assert missing.err == (
        f"error: there is no commit 77 in {history.url}\n"
        "  hint: `defs-state store log` lists those that there are\n"
    )


def test_pins(store: Callable[..., Result], history: VersionedStorage) -> None:
    history.hold({"plain": "v1"}, name="location-eu", ttl=900, note="a code location")
    result = store("pin", "release-7", "1")
    assert result.out == "release-7 keeps commit 1, with 2 keys, until it is removed\n"
    result = store("pin", "soon", "--ttl", "30d", "--note", "before the migration")
    assert result.out == "soon keeps commit 3, with 1 key, for 30d\n"
    for arguments in (["--list"], []):
        rows = table(store("pin", *arguments).out)
        assert rows[0] == ["NAME", "COMMIT", "KEYS", "ENDS", "NOTE"]
        assert rows[1][:3] == ["location-eu", "-", "1"]
        assert re.fullmatch(r"in 1[45]m \d\ds", rows[1][3])
        assert rows[1][4] == "a code location"
        assert rows[2] == ["release-7", "1", "2", "never"]
        assert rows[3] == ["soon", "3", "1", "in 29d 23h", "before the migration"]
    document = store("pin", "--list", "--json").document
    versions = {key: [value.version] for key, value in history.commit(1).versions.items()}
    assert document["pins"][1] == {
        "name": "release-7",
        "serial": 1,
        "versions": versions,
        "expires": None,
        "live": True,
        "note": "",
    }
    moved = store("pin", "release-7", "2", "--json").document
    assert moved["pin"]["serial"] == 2
    result = store("pin", "--remove", "release-7")
    assert result.out == "release-7 is removed; clean-up may remove what only it kept\n"
    result = store("pin", "--remove", "release-7")
    assert result.status == 1
    assert result.err == (
        f"error: there is no pin 'release-7' in {history.url}\n  hint: it has: location-eu, soon\n"
    )


def test_leases_are_not_for_users(store: Callable[..., Result], history: VersionedStorage) -> None:
    history.hold({"plain": "v1"}, name="location-eu", ttl=900)
    for arguments in (["location-eu"], ["--remove", "location-eu"]):
        result = store("pin", *arguments)
        assert result.status == 1
        assert result.err.startswith("error: location-eu is the lease of a process")
    history.hold({"plain": "v1"}, name="ended", ttl=-1)
    assert store("pin", "--remove", "ended").status == 0


def test_a_pin_of_damaged_content_is_no_pin(
    store: Callable[..., Result], history: VersionedStorage
) -> None:
    history.store.delete(f"plain/{history.commit(1).version_of('plain')}")
    result = store("pin", "release-7", "1")
    assert (result.status, result.out) == (1, "")
    assert store("pin", "--json").document["pins"] == []


def test_gc(store: Callable[..., Result], history: VersionedStorage) -> None:
    keep_one = ("--keep-commits", "1", "--keep-age", "0")
    assert store("gc").out == "3 commits kept, from 1 on\nnothing removed\n"
    foreseen = store("gc", *keep_one, "--dry-run")
    assert (foreseen.status, foreseen.err) == (0, "")
    assert foreseen.out == (
        "1 commit kept, from 3 on; 2 commits would be forgotten\n"
        "nothing would be removed\n"
        "3 versions and 1 file (4.4 kB) would be marked: a later run removes what is still "
        "unneeded 1h 00m after its mark\n"
    )
    assert history.log_store.floor() == 1
    store("pin", "release-7", "1")
    marked = store("gc", *keep_one)
    assert marked.out == (
        "1 commit kept, from 3 on; 2 commits forgotten\n"
        "nothing removed\n"
        "1 version (2.0 kB) marked: a later run removes what is still unneeded 1h 00m after its "
        "mark\n"
        "respected: release-7\n"
    )
    # The pin has outlived its commit, and still brings it back.
    rolled = store("rollback", "release-7")
    assert rolled.out == "commit 4 rolls back to release-7: 2 keys changed\n"
    assert history.verify().is_clean


def test_gc_as_json(store: Callable[..., Result], history: VersionedStorage) -> None:
    plain = [f"plain/{history.commit(serial).version_of('plain')}" for serial in (1, 2)]
    store("pin", "release-7", "1")
    document = store(
        "gc", "--keep-commits", "1", "--keep-age", "0", "--grace", "0", "--json"
    ).document
    assert document == {
        "store": history.url,
        "dry_run": False,
        "oldest": 3,
        "kept": 1,
        "forgotten": [1, 2],
        "removed": [{"name": plain[1], "size": 2000, "objects": [plain[1]]}],
        "waiting": [],
        "young": [],
        "foreign": [],
        "leftovers": [],
        "pins": ["release-7"],
        "unclear": [],
    }
    store("pin", "--remove", "release-7")
    result = store("gc", "--keep-commits", "1", "--keep-age", "0", "--grace", "0", "--verbose")
    rows = table(result.out)
    assert rows[0] == ["VERSION OR FILE", "SIZE"]
    assert [row[0] for row in rows[1:4]] == ["removed"] * 3
    assert rows[-2:] == [
        ["1 commit kept, from 3 on"],
        ["2 versions and 1 file (2.4 kB) removed"],
    ]


def test_gc_leaves_alone_what_it_does_not_know(
    store: Callable[..., Result], history: VersionedStorage
) -> None:
    history.store.create("plain/0f6e3c1a-3f0e-4c8b-9a55-6f2f6f1c7d10", b"Dagster's?")
    result = store("gc", "--keep-age", "0")
    assert result.out.splitlines()[-1] == "1 version (10 B) left alone: not known to be ours"
    result = store("gc", "--unknown")
    assert result.status == 2
    assert "--unknown needs Dagster and its DAGSTER_HOME" in result.err


def test_verify(store: Callable[..., Result], history: VersionedStorage) -> None:
    result = store("verify")
    assert (result.status, result.err) == (0, "")
    assert result.out == "3 commits, 4 versions, 9 objects (6.9 kB): no damage\n"
    path = f"plain/{history.commit(1).version_of('plain')}"
    history.store.delete(path)
    history.store.create("other/thing", b"?")
    result = store("verify", "--shallow")
    assert result.status == 1
    assert result.err == (f"error: [plain] the version {path[6:]} is missing: there is no {path}\n")
    assert result.out.splitlines() == [
        "3 commits, 4 versions, 8 objects (5.9 kB): 1 problem",
        "1 object that no commit needs; `defs-state store gc` removes what nothing else needs",
    ]
    document = store("verify", "--json").document
    assert (document["clean"], document["commits"], document["deep"]) == (False, 3, True)
    assert [problem["object"] for problem in document["problems"]] == [path]
    assert document["problems"][0]["version"] == path[6:]
    assert document["unreferenced"] == ["other/thing"]


def test_deep_and_shallow(store: Callable[..., Result], history: VersionedStorage) -> None:
    path = f"plain/{history.commit(1).version_of('plain')}"
    history.store.replace(path, b"y" * 1000)
    assert store("verify", "--shallow").status == 0
    assert store("verify").status == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "x"], "'x' is no commit: give a number, `head` or `head~N`"),
        (["show", "0"], "'0' is no commit: give a number, `head` or `head~N`"),
        (["diff"], "Missing argument 'OLD'."),
        (["rollback", "release-7"], "'release-7' is neither a pin nor a commit: give a number, "),
        (["pin", "12"], "'12' means a commit: give the pin another name"),
        (["pin", "--remove"], "--remove takes the NAME of a pin, and nothing else"),
        (["pin", "--list", "x"], "--list takes no NAME and no --remove"),
        (["pin", "x", "--ttl", "0"], 'expected a duration such as "90s", "12h" or "7d", got \'0\''),
        (["gc", "--keep-commits", "0"], "0 is not in the range x>=1."),
        (["gc", "--keep-age", "soon"], 'such as "90s", "12h" or "7d", got \'soon\''),
        (["log", "-n", "0"], "0 is not in the range x>=1."),
    ],
)
def test_wrong_usage(
    store: Callable[..., Result], history: VersionedStorage, arguments: list[str], message: str
) -> None:
    result = store(*arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
    assert history.head().serial == 3


def test_a_store_without_commits(store: Callable[..., Result], tmp_path: Path) -> None:
    url = str(tmp_path / "nothing")
    empty = f"there is no commit in {url}\n"
    assert store("log", "--store", url) == (0, "", empty)
    assert store("show", "--store", url) == (0, "", empty)
    assert store("log", "--json", "--store", url).document == {"store": url, "commits": []}
    shown = store("show", "--json", "--store", url).document
    assert (shown["serial"], shown["at"], shown["versions"]) == (0, None, {})
    assert store("rollback", "head", "--store", url).status == 1
    assert store("pin", "--store", url) == (0, "", f"there is no pin in {url}\n")
    assert store("gc", "--store", url) == (0, "", f"there is nothing to clean up in {url}\n")
    assert store("pin", "x", "--store", url).err == f"error: there is no commit in {url} to pin\n"
    assert store("verify", "--store", url).status == 0
    assert not (tmp_path / "nothing").exists()


def test_where_the_store_is(
    store: Callable[..., Result],
    history: VersionedStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def used(*arguments: str) -> str:
        return str(store("log", "--json", *arguments).document["store"])

    home, project = tmp_path / "home", tmp_path / "project"
    for folder in (home, project / "src"):
        folder.mkdir(parents=True)
    config = "config: {base: {env: A_BASE}, options: {}}"
    (home / "dagster.yaml").write_text(
        "defs_state_storage: {module: hatch_defs_state.dagster, class: VersionedDefsStateStorage, "
        f"{config}}}\n"
    )
    (project / "pyproject.toml").write_text('[tool.defs-state]\nstore = "states"\n')
    assert used("--store", str(tmp_path / "given")) == str(tmp_path / "given")
    assert used("--project", str(project)) == history.url
    monkeypatch.delenv("DEFS_STATE_STORE")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("A_BASE", str(tmp_path / "of dagster"))
    assert used("--project", str(project / "src")) == str(project / "states")
    assert used() == str(tmp_path / "of dagster")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    result = store("log")
    assert result.status == 1
    assert result.err == (
        "error: where versioned state is kept is not known\n"
        "  hint: set `store` (DEFS_STATE_STORE, --store) to a folder or the URL of an object "
        "store, or DAGSTER_HOME to the folder of a dagster.yaml that names it\n"
    )
    assert used("--store", "beside") == str(tmp_path / "beside")
    monkeypatch.setenv("DEFS_STATE_STORE", "below")
    assert used("--project", str(project / "src")) == str(project / "below")
    monkeypatch.delenv("DEFS_STATE_STORE")
    (project / "pyproject.toml").write_text('[tool.defs-state]\nstroe = "states"\n')
    assert "did you mean" in store("log", "--project", str(project)).err


def test_a_bucket_with_credentials_of_the_environment(
    store: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("1")
    with s3_server() as server:
        url = server.new_url()
        variables: Mapping[str, str] = {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        VersionedStorage(url).push({"k": tmp_path / "state"}, "from a bucket")
        result = store("log", "--store", url, "--json")
        assert [commit["message"] for commit in result.document["commits"]] == ["from a bucket"]
        assert store("verify", "--store", url).out == (
            "1 commit, 1 version, 1 object (1 B): no damage\n"
        )
