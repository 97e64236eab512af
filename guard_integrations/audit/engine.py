"""The audit: files to findings, in worker processes where there are many files."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from guard_integrations.audit.baseline import load_baseline, unknown
from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.facts import facts_of
from guard_integrations.audit.history import history
from guard_integrations.audit.model import (
    AuditFinding,
    AuditReport,
    Check,
    CheckResult,
    FileFacts,
    Guard,
    Project,
    Skipped,
)
from guard_integrations.audit.places import finding_in, finding_of
from guard_integrations.audit.reading import read, reason_of
from guard_integrations.audit.walk import walk

__all__ = ["Progress", "audit"]

Progress = Callable[[int, int], None]
"""Is told how many files are done, and of how many."""

_MANY: Final = 100
"""Files from which on it pays to start processes."""
_CHUNK: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A finding that awaits the rest of the project: none if one of these guards is there, or none of these traits is."""

    finding: AuditFinding
    unless: frozenset[Guard]
    given: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audited:
    """What became of one file."""

    found: tuple[_Found, ...] = ()
    facts: FileFacts | None = None
    skipped: tuple[Skipped, ...] = ()


def audit(
    root: Path,
    paths: Sequence[Path] = (),
    *,
    config: AuditConfig | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audits a project.

    Args:
        root: the project's folder.
        paths: files and folders below it to keep to; none for all.
        config: how; None for what the project's `pyproject.toml` says.
        progress: is told after every few files.

    Raises:
        PolicyError: when the configuration or the baseline is not valid.
    """
    root = root.resolve()
    config = config or AuditConfig.of_project(root)
    checks = config.checks()
    known = load_baseline(root / config.baseline) if config.baseline is not None else None
    walked = walk(root, paths, exclude=config.exclude)
    audited: list[_Audited] = []
    for each in _files(walked.project, [check.id for check in checks]):
        audited.append(each)
        if progress is not None:
            progress(len(audited), len(walked.project.files))
    facts = tuple(each.facts for each in audited if each.facts is not None)
    guards = frozenset(guard for each in facts for guard in each.guards)
    traits = frozenset(trait for each in facts for trait in each.traits)
    found = [found for each in audited for found in each.found]
    for check in checks:
        hits = check.conclude(walked.project, facts) if check.conclude is not None else ()
        found += [_Found(finding=finding_of(check, hit), unless=hit.unless, given=hit.given) for hit in hits]
    standing = (each.finding for each in found if not each.unless & guards and (not each.given or each.given & traits))
    past = (
        finding for check in checks if config.history and check.in_history for finding in history(walked.project, check)
    )
    findings = _once(sorted((*standing, *past), key=_order), checks)
    open_ = tuple(finding for finding in findings if finding.justification is None)
    new = unknown(open_, known) if known is not None else open_
    return AuditReport(
        root=str(root),
        files=len(facts),
        checks=tuple(_result(check, new) for check in checks),
        findings=new,
        suppressed=tuple(finding for finding in findings if finding.justification is not None),
        known=len(open_) - len(new),
        skipped=(*walked.skipped, *(skipped for each in audited for skipped in each.skipped)),
        fail_on=config.fail_on,
    )


def _order(finding: AuditFinding) -> tuple[str, int, int, int, str]:
    return finding.path, finding.cell or 0, finding.line, finding.column, finding.check


def _once(findings: Iterable[AuditFinding], checks: Iterable[Check]) -> list[AuditFinding]:
    """Findings without the second and further places of checks that report the first only."""
    single = {check.id for check in checks if check.once}
    seen: set[str] = set()
    kept: list[AuditFinding] = []
    for finding in findings:
        if finding.check not in seen or finding.check not in single:
            seen.add(finding.check)
            kept.append(finding)
    return kept


def _result(check: Check, findings: Iterable[AuditFinding]) -> CheckResult:
    count = sum(finding.check == check.id for finding in findings)
    return CheckResult(id=check.id, name=check.name, passed=not count, findings=count)


def _files(project: Project, checks: Sequence[str]) -> Iterator[_Audited]:
    """Audits all files, in any order."""
    workers = min(os.cpu_count() or 1, 8)
    if len(project.files) < _MANY or workers == 1:
        yield from (_file(project, checks, path) for path in project.files)
        return
    yield from _in_processes(project, checks, workers)


def _in_processes(project: Project, checks: Sequence[str], workers: int) -> Iterator[_Audited]:
    """Audits files side by side. A file that kills its process is left out; its neighbours are read again."""
    # A fork is quicker by a second, but copies what other threads were in the middle of.
    forks = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    chunks = [project.files[at : at + _CHUNK] for at in range(0, len(project.files), _CHUNK)]
    bare = _bare(project)
    broken: list[str] = []
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for chunk, future in [(chunk, pool.submit(_some, bare, checks, chunk)) for chunk in chunks]:
            try:
                yield from future.result()
            except BrokenExecutor:
                broken += chunk
    for path in broken:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                yield from pool.submit(_some, bare, checks, [path]).result()
            except BrokenExecutor:
                yield _Audited(skipped=(Skipped(path=path, reason="makes the parser crash"),))


def _bare(project: Project) -> Project:
    """The project without its list of files, which every worker would get over and over."""
    return Project(
        root=project.root,
        repository=project.repository,
        tracked_env=project.tracked_env,
        env_ignored=project.env_ignored,
    )


def _some(project: Project, checks: Sequence[str], paths: Sequence[str]) -> list[_Audited]:
    return [_file(project, checks, path) for path in paths]


@cache
def _checks(ids: tuple[str, ...]) -> tuple[Check, ...]:
    return AuditConfig(select=ids).checks()


def _file(project: Project, ids: Sequence[str], path: str) -> _Audited:
    """Runs the checks on one file. Whatever a file does to a parser, it is the file that is left out, not the audit."""
    try:
        files, skipped = read(project, path)
        found = tuple(
            _Found(finding=finding_in(file, check, hit), unless=hit.unless, given=hit.given)
            for file in files
            for check in _checks(tuple(ids))
            if check.inspect is not None
            and file.language in check.languages
            and (check.in_tests or not file.is_test)
            and (not check.keywords or any(word in file.lower for word in check.keywords))
            for hit in check.inspect(file)
        )
        return _Audited(found=found, facts=facts_of(files[0]), skipped=skipped)
    except Exception as error:  # noqa: BLE001 - see above: whatever it is
        return _Audited(skipped=(Skipped(path=path, reason=reason_of(error)),))
