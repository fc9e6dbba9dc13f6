"""`defs-state doctor`: what makes builds of a project ship old state, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from hatch_defs_state.cli.root import json_option, project_option
from hatch_defs_state.doctor.examination import CHECKS, examine
from hatch_defs_state.doctor.finding import Severity
from hatch_defs_state.reporting.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.doctor.finding import Finding

_COLOURS = {Severity.PROBLEM: "red", Severity.ADVICE: "yellow"}


@click.command(name="doctor")
@project_option
@json_option
@click.pass_context
def command(ctx: click.Context, project_folder: Path, as_json: bool) -> None:
    """Find what makes builds ship old state or none, and say the line to add or remove.

    Looks at caches (uv, pex), at ignore files, and at what the project tells its build tools.
    Nothing is changed, and no code of the project runs. Exit status: 0 no problem, 1 problems;
    advice is no problem.

    \b
    Examples:
      defs-state doctor
      defs-state doctor --project platform --json
    """  # noqa: D301 - click wants the character
    config, findings = examine(project_folder)
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    if as_json:
        document = {
            "schema": 1,
            "project": config.name,
            "problems": problems,
            "findings": [finding.to_json() for finding in findings],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for finding in findings:
            _show(finding)
        advice = len(findings) - problems
        also = f", {advice} of advice" if advice else ""
        click.echo(f"{config.name}: {len(CHECKS)} checks, {counted(problems, 'problem')}{also}")
    ctx.exit(1 if problems else 0)


def _show(finding: Finding) -> None:
    severity = click.style(f"{finding.severity.value}:", fg=_COLOURS[finding.severity], bold=True)
    where = f"{finding.location}: " if finding.location else ""
    first, *rest = finding.fix.splitlines()
    click.echo(f"{severity} {where}{finding.message} ({finding.code})")
    click.echo("\n".join([f"  fix: {first}", *(f"       {line}" for line in rest), ""]))
