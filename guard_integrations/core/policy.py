"""One frozen, validated configuration for every guard."""

import hashlib
import hmac
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)

from guard_integrations.core.findings import Action, Category
from guard_integrations.core.toml_lines import line_of
from guard_integrations.errors import PolicyError

__all__ = ["HASH_KEY_VARIABLE", "REFUSAL", "Actions", "GuardPolicy", "Profile", "Strategy"]

REFUSAL = "I cannot provide that response."
"""What a reader sees in place of an answer that was blocked."""

HASH_KEY_VARIABLE = "GUARD_INTEGRATIONS_HASH_KEY"
"""The environment variable that holds the key of the `hash` strategy, for policies without one of their own."""

_PROCESS_KEY = secrets.token_bytes(32)

Profile: TypeAlias = Literal["basic", "balanced", "strict"]


class Strategy(StrEnum):
    """How a piece of personal data or a secret is taken out of a text."""

    REDACT = "redact"
    MASK = "mask"
    HASH = "hash"
    PSEUDONYMISE = "pseudonymise"
    BLOCK = "block"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Actions(_Frozen):
    """What is done with a finding, by its category."""

    injection: Action = Action.FILTER
    pii: Action = Action.FILTER
    secret: Action = Action.FILTER
    markup: Action = Action.FILTER
    leak: Action = Action.FILTER
    invisible: Action = Action.FILTER
    overflow: Action = Action.BLOCK
    moderation: Action = Action.BLOCK

    def of(self, category: Category) -> Action:
        """The action for a category."""
        action: Action = getattr(self, category.value)
        return action


_Strategies = Annotated[
    Mapping[str, Strategy],
    AfterValidator(lambda chosen: MappingProxyType(dict(chosen))),
    PlainSerializer(dict),
]


_Names = Annotated[
    Mapping[str, str],
    AfterValidator(lambda chosen: MappingProxyType(dict(chosen))),
    PlainSerializer(dict),
]


class GuardPolicy(_Frozen):
    """What the guards look for and what they do about it; `GuardPolicy()` is the balanced profile.

    A policy is a value: it never changes, two equal policies have one `fingerprint`, and that fingerprint
    belongs in the key of every cache of guarded text.

    Raises:
        PolicyError: from `from_toml`, when the file cannot be read as a policy.
    """

    profile: Profile = "balanced"
    """`basic`: the textbook patterns. `balanced`: far more, harmless to ordinary text. `strict`: blocks."""
    actions: Actions = Actions()
    """What is done with a finding, by category."""
    strategies: _Strategies = Field(default_factory=lambda: MappingProxyType({}))
    """How personal data and secrets are replaced, by rule id or by category; `redact` where none is named."""
    rule_packs: tuple[Path, ...] = ()
    """TOML rule packs of your own, beside the built-in ones."""
    disabled_rules: frozenset[str] = frozenset()
    """Ids of rules that are not to run."""
    enabled_rules: frozenset[str] = frozenset()
    """Ids of rules that run beside the profile's own, such as `user-handle`, which is in no profile."""
    name_models: _Names = Field(default_factory=lambda: MappingProxyType({}))
    """spaCy models by language, such as `{"en": "en_core_web_lg"}`: names of people and places are looked for with
    them, through Presidio. None are while it is empty."""
    allow: tuple[str, ...] = ()
    """Texts that are never a finding, compared whole and without regard to case: a support address, say."""
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts, and their subdomains, that the model's answers may load images from and link to."""
    redact_input: bool = False
    """Whether personal data and secrets are taken out of what goes to the model, too. A vault always does."""
    max_input_chars: int = Field(default=100_000, gt=0)
    """Input past this many characters is a finding, and refused; with `overflow = "filter"` it is cut there."""
    injection_threshold: float = Field(default=0.5, gt=0, le=1)
    """From this score on, a text is taken for a prompt injection."""
    refusal: str = Field(default=REFUSAL, min_length=1)
    """What a reader sees in place of a blocked answer."""
    on_error: Literal["block", "allow"] = "block"
    """What happens when a guard fails: nothing passes, or (logged each time) everything does."""
    hash_key: SecretStr | None = Field(default=None, exclude=True)
    """Key of the `hash` strategy, else GUARD_INTEGRATIONS_HASH_KEY, else one made at random per process."""

    @model_validator(mode="before")
    @classmethod
    def _profile_defaults(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic hands over whatever was passed in
        if not isinstance(given, Mapping):
            return given
        defaults = _PROFILES.get(str(given.get("profile", "balanced")), {})
        merged = {**defaults, **given}
        if isinstance(given.get("actions"), Mapping):
            merged["actions"] = {**defaults.get("actions", {}), **given["actions"]}
        return merged

    @classmethod
    def basic(cls, **settings: Any) -> Self:  # noqa: ANN401 - pydantic validates them
        """The textbook patterns and labels: five input patterns, a cut at 4000 characters, four output patterns."""
        return cls(profile="basic", **settings)

    @classmethod
    def balanced(cls, **settings: Any) -> Self:  # noqa: ANN401 - pydantic validates them
        """The default: catches far more, and leaves ordinary text alone."""
        return cls(profile="balanced", **settings)

    @classmethod
    def strict(cls, **settings: Any) -> Self:  # noqa: ANN401 - pydantic validates them
        """Blocks instead of filtering, and accepts more false alarms."""
        return cls(profile="strict", **settings)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Reads a policy from a TOML file whose keys are this class's fields.

        Relative `rule_packs` are taken from the file's own folder.

        Raises:
            PolicyError: when the file is missing, is not TOML, is empty, or sets something that does not exist; names
                the lines.
        """
        file = Path(path)
        problem = text = ""
        settings: dict[str, Any] = {}
        try:
            text = file.read_text(encoding="utf-8")
            settings = tomllib.loads(text)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problem = f"is not TOML: {error}" if isinstance(error, tomllib.TOMLDecodeError) else "is not UTF-8"
        if not problem and not settings:
            problem = 'is empty: name at least a profile, such as profile = "balanced"'
        if problem:
            raise PolicyError(f"{file}: {problem}")
        if isinstance(packs := settings.get("rule_packs"), list):
            settings["rule_packs"] = [file.parent / str(pack) for pack in packs]
        faults: list[tuple[int, str]] = []
        try:
            return cls(**settings)
        except ValidationError as error:
            faults = [_fault(text, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise PolicyError(f"{file}: {'; '.join(fault for _, fault in sorted(faults))}")

    def action(self, category: Category) -> Action:
        """What is done with a finding of a category."""
        return self.actions.of(category)

    def strategy(self, rule: str, category: Category, default: Strategy = Strategy.REDACT) -> Strategy:
        """How a finding of a rule is replaced: by what is named for the rule, else for its category, else the default."""
        return self.strategies.get(rule) or self.strategies.get(category.value) or default

    @property
    def effective_hash_key(self) -> bytes:
        """The policy's key of the `hash` strategy, else the environment's, else this process's own."""
        return self._configured_hash_key() or _PROCESS_KEY

    def _configured_hash_key(self) -> bytes:
        given = self.hash_key.get_secret_value() if self.hash_key else os.environ.get(HASH_KEY_VARIABLE, "")
        return given.encode()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that two policies share when, and only when, they treat every text alike.

        The hash key goes in as an HMAC, so that the fingerprint tells nothing about it. Rule packs go in by
        content: an edited pack is another policy.

        Raises:
            PolicyError: when a rule pack cannot be read.
        """
        settings = self.model_dump(mode="json")
        settings["rule_packs"] = [_digest(pack) for pack in self.rule_packs]
        for unordered in ("disabled_rules", "enabled_rules", "allowed_hosts"):
            settings[unordered] = sorted(settings[unordered])
        canonical = json.dumps(settings, sort_keys=True).encode()
        return hmac.new(self._configured_hash_key(), canonical, hashlib.sha256).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002 - pydantic's signature
        """The policy itself, or another one with some settings changed, which are validated.

        Pydantic's own would write them into what `__copy__` gives, and so into this policy.
        """
        if not update:
            return self
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **update})

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy does not pickle, and a policy travels to worker processes.
        return _restore, (type(self), {**self.model_dump(), "hash_key": self.hash_key})


def _fault(text: str, place: tuple[int | str, ...], kind: str, message: str) -> tuple[int, str]:
    """One thing that is wrong with a file, and the line on which it stands; 0 for one that stands on none."""
    line = line_of(text, place) or 0
    if kind == "extra_forbidden":
        settings = Actions.model_fields if place[0] == "actions" else GuardPolicy.model_fields
        close = get_close_matches(str(place[-1]), settings, n=1)
        message = f"there is no such setting{f'; is it {close[0]}?' if close else ''}"
    return line, f"{f'line {line}: ' if line else ''}{'.'.join(map(str, place)) or 'policy'}: {message}"


def _digest(pack: Path) -> str:
    problem = ""
    try:
        return hashlib.sha256(pack.read_bytes()).hexdigest()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise PolicyError(f"{pack}: {problem}")


def _restore(kind: type[GuardPolicy], settings: dict[str, Any]) -> GuardPolicy:
    return kind(**settings)


_PROFILES: dict[str, dict[str, Any]] = {
    "basic": {"actions": {"overflow": Action.FILTER}, "max_input_chars": 4_000},
    "balanced": {},
    "strict": {
        "actions": {"injection": Action.BLOCK, "secret": Action.BLOCK, "leak": Action.BLOCK},
        "injection_threshold": 0.4,
    },
}
