"""What doctor says of images: which ones need the state of the tree, and what hides it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatch_defs_state.doctor.dockerfiles import Ignore, parse
from tests.support.commands import run_checked
from tests.support.doctored import SOUND, STATE, findings, make_project
from tests.support.frontends import kept_environment

EDITABLE = "FROM python:3.12\nCOPY . /app\nRUN pip install -e /app\n"
WHEEL = "FROM python:3.12\nCOPY . /app\nRUN pip install --no-cache-dir /app\n"


def of_docker(project: Path) -> list[str]:
    return [text for text in findings(project) if " dockerignore " in text]


def hidden(image: str, line: str, path: str, keep: str, severity: str = "problem") -> str:
    number, _, pattern = line.partition(":")
    return (
        f"{severity} dockerignore .dockerignore:{number}: {pattern} keeps {path} from {image} => "
        f"remove the line {pattern}, or add the line !{keep} at the end"
    )


@pytest.mark.parametrize("pattern", ["**/.local_defs_state", "**/.*", ".git\n**/.local*"])
def test_an_image_that_uses_the_tree_and_does_not_get_its_state(
    pattern: str, tmp_path: Path
) -> None:
    project = make_project(tmp_path, files={"Dockerfile": EDITABLE, ".dockerignore": pattern})
    *above, last = pattern.splitlines()
    assert of_docker(project) == [
        hidden(
            "the image of Dockerfile", f"{len(above) + 1}:{last}", f"{STATE}/manifest.json", STATE
        )
    ]
    (project / ".dockerignore").write_text(f"{pattern}\n!{STATE}\n", encoding="utf-8")
    assert of_docker(project) == []


def test_a_part_of_the_state_that_is_hidden(tmp_path: Path) -> None:
    files = {
        "Dockerfile": EDITABLE,
        ".dockerignore": "dist\n\n**/target\n",
        f"{STATE}/shop/project/target/manifest.json": "{}",
    }
    assert of_docker(make_project(tmp_path, files=files)) == [
        hidden(
            "the image of Dockerfile",
            "3:**/target",
            f"{STATE}/shop/project/target/manifest.json",
            STATE,
        )
    ]


@pytest.mark.parametrize(
    "install",
    [
        "pip install --no-cache-dir /app",
        "--mount=type=secret,id=key pip wheel -w /wheels .",
        "cd /app && uv sync --frozen --no-editable",
        "python -m build --wheel",
        "uv pip install --system .[prod]",
        "pip install dist/*.whl",
        "defs-state refresh",
    ],
)
def test_an_image_that_makes_a_wheel_needs_no_state_of_the_tree(
    install: str, tmp_path: Path
) -> None:
    image = f"FROM python:3.12\nCOPY . /app\nRUN {install}\n"
    files = {"Dockerfile": image, ".dockerignore": "**/.local_defs_state\n"}
    project = make_project(tmp_path, files=files)
    assert of_docker(project) == []
    frozen = image.replace("RUN", "ENV DEFS_STATE_REFRESH=frozen\nRUN")
    (project / "Dockerfile").write_text(frozen, encoding="utf-8")
    assert len(of_docker(project)) == 1
    (project / "Dockerfile").write_text(image, encoding="utf-8")
    (project / "pyproject.toml").write_text(f'{SOUND}refresh = "frozen"\n', encoding="utf-8")
    assert len(of_docker(project)) == 1


@pytest.mark.parametrize("copy", ["COPY dist/ /wheels/", "COPY --from=build /app /app"])
def test_an_image_that_does_not_copy_the_tree_is_left_alone(copy: str, tmp_path: Path) -> None:
    files = {"Dockerfile": f"FROM python:3.12\n{copy}\n", ".dockerignore": "**/.*\n"}
    assert of_docker(make_project(tmp_path, files=files)) == []


def test_an_output_folder_that_the_image_copies_and_does_not_get(tmp_path: Path) -> None:
    image = f"FROM python:3.12\nCOPY src src\nCOPY out/state {STATE}\nRUN pip install .\n"
    files = {"Dockerfile": image, ".dockerignore": "out\n**/.*\n"}
    assert of_docker(make_project(tmp_path, files=files)) == [
        hidden("the image of Dockerfile", "1:out", "out/state/manifest.json", "out")
    ]


def test_an_image_that_is_given_its_state_needs_none_of_the_tree(tmp_path: Path) -> None:
    image = f"FROM python:3.12\nCOPY . .\nCOPY state {STATE}/\nRUN pip install -e .\n"
    files = {"Dockerfile": image, ".dockerignore": "**/.local_defs_state\n"}
    assert of_docker(make_project(tmp_path, files=files)) == []


def test_without_an_image_in_sight_it_is_advice(tmp_path: Path) -> None:
    project = make_project(tmp_path, files={".dockerignore": "**/.local_defs_state\n"})
    path = f"{STATE}/manifest.json"
    assert of_docker(project) == [
        hidden("images that copy the tree", "1:**/.local_defs_state", path, STATE, "advice")
    ]


def test_an_image_has_its_own_ignore_file(tmp_path: Path) -> None:
    files = {
        "Dockerfile": EDITABLE,
        "web.Dockerfile": EDITABLE,
        "web.Dockerfile.dockerignore": "src\n",
    }
    assert of_docker(make_project(tmp_path, files=files)) == [
        hidden("the image of web.Dockerfile", "1:src", f"{STATE}/manifest.json", STATE).replace(
            ".dockerignore:", "web.Dockerfile.dockerignore:", 1
        )
    ]


def test_instructions_over_several_lines_and_in_json_are_read() -> None:
    text = (
        "from python\n# COPY no no\ncopy --chown=1:1 \\\n  ./src ./data \\\n  /app/\n"
        'ADD ["a b", "/b"]\nRUN pip install \\\n  -e .\n'
    )
    image = parse(Path("Dockerfile"), text)
    assert [(copy.source, copy.target) for copy in image.copies] == [
        ("src", "/app/"),
        ("data", "/app/"),
        ("a b", "/b"),
    ]
    assert not image.builds


PATTERNS = (
    "out",
    "/out",
    "out/",
    "./out",
    "*/out",
    "**/out",
    "out/**",
    "out/*",
    "**/*.json",
    "*.json",
    "**",
    "*",
    "out\n!out/state",
    "**/.*\n!src/**/.local_defs_state",
    "src\n!src/a.json",
    "a?json",
    "[a-c].json",
    "# out",
    "",
)
PATHS = ("a.json", "out/a.json", "out/state/b.json", "src/a.json", "src/out/b", "src/x/.git/c")


@pytest.mark.slow
def test_ignore_files_are_read_as_docker_reads_them(tmp_path: Path) -> None:
    """Docker's own library for Python is the measure."""
    context = tmp_path / "context"
    for path in PATHS:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text("", encoding="utf-8")
    (tmp_path / "patterns.json").write_text(json.dumps(PATTERNS), encoding="utf-8")
    script = (
        "import json\n"
        "from docker.utils.build import exclude_paths\n"
        "texts = json.load(open('patterns.json'))\n"
        "lists = [[line for line in text.splitlines() if line[:1] != '#'] for text in texts]\n"
        "print(json.dumps([sorted(exclude_paths('context', lines)) for lines in lists]))"
    )
    docker = kept_environment("docker==7.1.0")
    output = run_checked([docker, "-c", script], cwd=tmp_path).stdout
    for text, taken in zip(PATTERNS, json.loads(output), strict=True):
        ignore = Ignore(Path(".dockerignore"), tuple(text.splitlines()))
        assert [p for p in PATHS if ignore.hiding(p) is None] == [p for p in PATHS if p in taken], (
            text
        )
