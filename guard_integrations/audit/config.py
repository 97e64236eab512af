"""What a project says about its audit, in `[tool.guard-integrations.audit]` of its `pyproject.toml`."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.model import Check
from guard_integrations.core.findings import Severity
from guard_integrations.errors import PolicyError

__all__ = ["AuditConfig"]


class AuditConfig(BaseModel):
    """How a project is audited.

    Raises:
        PolicyError: from `of_project`, when the table sets something that does not exist; from `checks`, when a check
            is named that does not exist.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
    )

    select: tuple[str, ...] = ()
    """Ids or names of the checks to run; none for all."""
    ignore: tuple[str, ...] = ()
    """Ids or names of checks not to run."""
    exclude: tuple[str, ...] = ()
    """Files and folders to leave out, as patterns of a `.gitignore`."""
    fail_on: Severity = Severity.LOW
    """The severity from which on a finding counts."""
    history: bool = False
    """Whether to look for keys in the history of the git repository, too."""
    baseline: Path | None = None
    """File of the findings that are known, relative to the project's folder."""

    @classmethod
    def of_project(cls, root: Path) -> Self:
        """Reads the table of a project; the defaults where there is none."""
        file = root / "pyproject.toml"
        problem = ""
        try:
            table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
            for key in ("tool", "guard-integrations", "audit"):
                table = table.get(key, {})
            return cls.model_validate(table)
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
            problem = f"cannot be read as TOML ({type(error).__name__})"
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            problem = f"[tool.guard-integrations.audit] {'; '.join(faults)}"
        raise PolicyError(f"{file}: {problem}")

    def checks(self) -> tuple[Check, ...]:
        """The checks to run, in the order of their ids."""
        known = {name for check in CHECKS for name in (check.id, check.name)}
        if strangers := [name for name in (*self.select, *self.ignore) if name not in known]:
            raise PolicyError(f"There is no check {', '.join(strangers)}; there are {_all()}.")
        chosen = [check for check in CHECKS if not self.select or {check.id, check.name} & {*self.select}]
        left = tuple(check for check in chosen if not {check.id, check.name} & {*self.ignore})
        if not left:
            raise PolicyError("No check is left to run: select another, or ignore fewer.")
        return left


def _all(checks: Sequence[Check] = CHECKS) -> str:
    return ", ".join(check.id for check in checks)
