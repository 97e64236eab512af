"""Which files of a project are audited, and what is known of it before one is read.

Where there is a git repository, git says what is ignored; no hook, filter or monitor of the repository is run. Without
one, the `.gitignore` files are read by `pathspec`.
"""

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pathspec import GitIgnoreSpec

from guard_integrations.audit.model import Language, Project, Skipped

__all__ = ["GIT", "Walk", "git", "language_of", "walk"]

_SUFFIXES: Final[dict[str, Language]] = {
    **dict.fromkeys((".py", ".pyw", ".pyi", ".ipynb"), Language.PYTHON),
    **dict.fromkeys((".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"), Language.SCRIPT),
    **dict.fromkeys((".yaml", ".yml", ".toml", ".json", ".env", ".dockerfile"), Language.CONFIG),
    **dict.fromkeys((".html", ".htm", ".jinja", ".jinja2", ".j2", ".vue", ".svelte"), Language.TEMPLATE),
    **dict.fromkeys(
        (".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".ini", ".cfg", ".conf", ".properties", ".tf", ".tfvars"),
        Language.TEXT,
    ),
    **dict.fromkeys((".md", ".rst", ".txt", ".mk", ".gradle", ".envrc", ".npmrc", ".pypirc"), Language.TEXT),
}
_NAMES: Final[dict[str, Language]] = {
    "Dockerfile": Language.CONFIG,
    "Containerfile": Language.CONFIG,
    "Makefile": Language.TEXT,
    "Procfile": Language.TEXT,
    "Jenkinsfile": Language.TEXT,
    "Pipfile": Language.CONFIG,
    ".envrc": Language.TEXT,
    ".npmrc": Language.TEXT,
    ".pypirc": Language.TEXT,
    ".netrc": Language.TEXT,
}
_LOCKS: Final = frozenset(
    {"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "Pipfile.lock", "composer.lock"}
)
_NEVER: Final = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "site-packages"})
_EXAMPLES: Final = (".example", ".sample", ".template", ".dist")
_GIT_TIMEOUT: Final = 120.0
GIT: Final = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""Git, told to run nothing that a repository names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What there is to audit.

    Args:
        project: what is known of it; `project.files` are to be read.
        skipped: what is left out and deserves a word.
    """

    project: Project
    skipped: tuple[Skipped, ...] = ()


def language_of(path: str) -> Language | None:
    """How a file is read, by its name; None when it is not audited."""
    name = PurePosixPath(path).name
    if name in _LOCKS or name.endswith((".min.js", ".map")):
        return None
    if is_env(path) or name.startswith(("Dockerfile.", "Containerfile.")):
        return Language.CONFIG
    return _NAMES.get(name) or _SUFFIXES.get(PurePosixPath(name).suffix.lower())


def is_env(path: str) -> bool:
    """Whether a file is an `.env` by its name, an example of one among them."""
    name = PurePosixPath(path).name
    return name in {".env", "env"} or name.startswith(".env.") or name.endswith(".env")


def is_env_example(path: str) -> bool:
    """Whether an `.env` is there to be copied, not to hold keys."""
    return path.endswith(_EXAMPLES) or ".example" in PurePosixPath(path).name


def git(root: Path, *arguments: str) -> bytes | None:
    """What git answers, or None where it does not: no repository, no git, not our files."""
    command = [*GIT, "-C", str(root), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIMEOUT, env=environment)  # noqa: S603 - git with arguments of ours; names come after `--`
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def walk(root: Path, paths: Iterable[Path] = (), *, exclude: Iterable[str] = ()) -> Walk:
    """Looks for the files to audit.

    Args:
        root: the project's folder.
        paths: files and folders below it to keep to; none for all.
        exclude: patterns as in `.gitignore` of what to leave out.
    """
    # Of a folder that git ignores, as an environment's packages are, it would list nothing.
    ignored = git(root, "check-ignore", "-q", "--", ".") is not None
    listed = None if ignored else git(root, "ls-files", "-z", "-co", "--exclude-standard")
    repository = listed is not None
    names = _decoded(listed) if listed is not None else _without_git(root)
    left_out = GitIgnoreSpec.from_lines(exclude)
    kept = [path.resolve() for path in paths if path.resolve() != root]
    files: list[str] = []
    skipped: list[Skipped] = []
    for name in sorted(dict.fromkeys(names)):
        if language_of(name) is None or left_out.match_file(_as_text(name)):
            continue
        if kept and not any((root / name).is_relative_to(path) for path in kept):
            continue
        if reason := _unreadable(root / name):
            skipped.append(Skipped(path=name, reason=reason))
        elif (root / name).exists():  # git still lists what has been deleted
            files.append(name)
    tracked = _decoded(git(root, "ls-files", "-z") or b"") if repository else files
    return Walk(
        project=Project(
            root=str(root),
            repository=repository,
            files=tuple(files),
            tracked_env=tuple(name for name in tracked if is_env(name) and not is_env_example(name)),
            env_ignored=_env_ignored(root, repository=repository),
        ),
        skipped=tuple(skipped),
    )


def _decoded(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _unreadable(path: Path) -> str:
    """Why a file is not opened: only plain files are, so that nothing waits for a pipe or runs in circles."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return "" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    if stat.S_ISLNK(mode):
        return "a symbolic link, which is not followed"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "not a plain file"


def _without_git(root: Path) -> Iterator[str]:
    """All files below a folder that no `.gitignore` on the way ignores; links to folders are not followed."""
    specs: dict[str, GitIgnoreSpec] = {}
    for folder, folders, files in os.walk(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        if ".gitignore" in files:
            lines = (Path(folder) / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
            specs[str(here)] = GitIgnoreSpec.from_lines(lines)
        folders[:] = [name for name in folders if name not in _NEVER and not _ignored(here / name, specs, "/")]
        yield from (str(here / name) for name in files if not _ignored(here / name, specs))


def _ignored(path: PurePosixPath, specs: dict[str, GitIgnoreSpec], end: str = "") -> bool:
    answer = False
    for above in reversed(path.parents):
        spec = specs.get(str(above))
        said = spec.check_file(_as_text(f"{path.relative_to(above)}{end}")).include if spec is not None else None
        answer = answer if said is None else said
    return answer


def _as_text(name: str) -> str:
    """A name whose bytes are no UTF-8, as one that patterns can be matched with."""
    return name.encode(errors="replace").decode()


def _env_ignored(root: Path, *, repository: bool) -> bool:
    if repository:
        return git(root, "check-ignore", "-q", "--no-index", "--", ".env") is not None
    try:
        lines = (root / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return GitIgnoreSpec.from_lines(lines).match_file(".env")
