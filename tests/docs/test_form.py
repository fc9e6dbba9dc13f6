"""The pages hang together: every block parses, every link leads somewhere."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.commands import run_checked
from tests.support.pages import DOCS, blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = sorted(path.name for path in DOCS.glob("*.md"))
PARSERS: dict[str, Callable[[str], Any]] = {
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
    "python": ast.parse,
    "starlark": ast.parse,
    "sh": lambda text: run_checked(["bash", "-n", "-c", text]),
    "dockerfile": lambda text: re.fullmatch(r"(?s)# syntax=docker/dockerfile:1\nFROM .*", text),
    "text": str.splitlines,
}


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_every_block_parses_and_the_page_says_how_to_see_that_it_worked(page: str) -> None:
    found = blocks(page)
    assert found
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text.count("\n```") == 2 * len(found)
    for block in found:
        assert PARSERS[block.language](block.text), block
    assert "**To see that it worked:**" in text


def test_the_index_lists_every_page_once() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[.*?\]\((.*?)\) \|", text, re.MULTILINE)) == [
        page for page in PAGES if page != "README.md"
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    targets: list[Path] = [DOCS / target for target in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert [target for target in targets if not target.exists()] == []


def test_no_secret_is_a_build_argument() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert "--build-arg" not in block.text
            assert not re.search(r"^(ARG|ENV) ", block.text, re.MULTILINE)
