"""What a check found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatch_defs_state.errors import SourceLocation


class Severity(str, Enum):
    """How bad it is.

    A problem makes some build ship old state or none, or fail. Advice names what would, were it
    used in a way that the project itself does not show.
    """

    PROBLEM = "problem"
    ADVICE = "advice"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: Name of the check, in kebab-case.
        severity: How bad it is.
        message: What happens, in one sentence.
        fix: What to add, remove or run; the exact lines.
        location: The file and line that it is about, if it is about one.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    location: SourceLocation | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "file": self.location.file if self.location else None,
            "line": self.location.line if self.location else None,
            "message": self.message,
            "fix": self.fix,
        }
