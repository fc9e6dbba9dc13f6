"""A project as a wheel that carries its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_defs_state.artifacts.wheel import verify_wheel
from hatch_defs_state.errors import ToolError
from hatch_defs_state.packing.parts import Part
from hatch_defs_state.packing.tools import run, wheel_builder

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_defs_state.packing.tools import Log


def as_wheel(project: Path, folder: Path, log: Log) -> Part:
    """Build the wheel of a project; a wheel is taken as it is.

    Args:
        project: The folder of the project, or a wheel.
        folder: An empty folder for the wheel.
        log: Receives lines about the build.

    Raises:
        DefsStateError: It cannot be built, or carries no state.
    """
    if project.suffix == ".whl":
        wheel = project
    else:
        builder = wheel_builder()
        log.say(f"{project.absolute().name}: building the wheel with `{builder.name}`")
        arguments = [str(folder), str(project.absolute())]
        run(builder, arguments, log, f"the wheel of {project}")
        found = sorted(folder.glob("*.whl"))
        if len(found) != 1:
            raise ToolError(f"{builder.name} made {len(found)} wheels of {project}")
        wheel = found[0]
    verified = verify_wheel(wheel)
    return Part(verified, requirements=(str(wheel.absolute()),), wheel=wheel.name)
