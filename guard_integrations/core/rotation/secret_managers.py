"""Keys out of secret managers, through each one's own client library.

A secret holds what `MISTRAL_API_KEYS` does (keys separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`), or a
JSON object with a field of that name or `MISTRAL_API_KEY`. The newest version counts; the ring keeps the keys of the one
before for its `overlap`, so that a rotation loses no request.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from guard_integrations.core.rotation.keys import ApiKey, as_keys, parse_keys
from guard_integrations.errors import GuardUnavailable, MissingKeyError

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient
    from google.cloud.secretmanager import SecretManagerServiceClient
    from hvac import Client as VaultClient

__all__ = ["AwsSecretsManagerSource", "AzureKeyVaultSource", "GoogleSecretManagerSource", "HashiCorpVaultSource"]

_FIELDS = ("MISTRAL_API_KEYS", "MISTRAL_API_KEY")
_TIMEOUT = 10.0


class _AwsClient(Protocol):
    """What is used of boto3's client, which has no types of its own."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:  # noqa: N803 - AWS's spelling
        """One version of a secret."""


@dataclass(slots=True, kw_only=True)
class GoogleSecretManagerSource:
    """A secret of Google Secret Manager. Needs the extra `gcp`.

    Args:
        name: `projects/PROJECT/secrets/SECRET`, for its latest version, or with `/versions/VERSION` behind it.
        client: a client of yours; by default one with the application default credentials.
        interval: seconds after which it is asked again.

    Raises:
        ImportError: when the extra is not installed.
    """

    name: str
    client: "SecretManagerServiceClient | None" = field(default=None, repr=False)
    interval: float = 300.0

    def __post_init__(self) -> None:
        try:
            from google.cloud.secretmanager import SecretManagerServiceClient  # noqa: PLC0415 - an extra
        except ImportError as missing:
            raise _needs("Google Secret Manager", "gcp") from missing
        self.client = self.client or SecretManagerServiceClient()

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the secret; see `KeySource.fetch`."""
        from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - an extra
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - as above

        name = self.name if "/versions/" in self.name else f"{self.name}/versions/latest"
        text = failure = ""
        try:
            answer = cast("SecretManagerServiceClient", self.client).access_secret_version(name=name, timeout=_TIMEOUT)
            text = str(answer.payload.data, "utf-8")
        except (GoogleAPIError, GoogleAuthError, UnicodeDecodeError) as error:
            failure = type(error).__name__
        return _keys(text, failure, "Google Secret Manager")


@dataclass(slots=True, kw_only=True)
class AwsSecretsManagerSource:
    """A secret of AWS Secrets Manager. Needs the extra `aws`.

    Args:
        secret_id: its name or ARN.
        client: a client of yours; by default one with boto3's own search for region and credentials.
        interval: seconds after which it is asked again.

    Raises:
        ImportError: when the extra is not installed.
    """

    secret_id: str
    client: "_AwsClient | None" = field(default=None, repr=False)
    interval: float = 300.0

    def __post_init__(self) -> None:
        try:
            import boto3  # noqa: PLC0415 - an extra
            from botocore.config import Config  # noqa: PLC0415 - as above
        except ImportError as missing:
            raise _needs("AWS Secrets Manager", "aws") from missing
        settings = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT)
        self.client = self.client or boto3.client("secretsmanager", config=settings)

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the secret; see `KeySource.fetch`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

        text = failure = ""
        try:
            answer = cast("_AwsClient", self.client).get_secret_value(SecretId=self.secret_id)
            text = answer.get("SecretString") or str(answer["SecretBinary"], "utf-8")
        except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
            failure = type(error).__name__
        return _keys(text, failure, "AWS Secrets Manager")


@dataclass(slots=True, kw_only=True)
class AzureKeyVaultSource:
    """A secret of Azure Key Vault. Needs the extra `azure`.

    Args:
        name: the secret's name.
        vault_url: the vault, such as `https://NAME.vault.azure.net`; not needed beside a client.
        client: a client of yours; by default one with `DefaultAzureCredential`.
        interval: seconds after which it is asked again.

    Raises:
        ImportError: when the extra is not installed.
    """

    name: str
    vault_url: str = ""
    client: "SecretClient | None" = field(default=None, repr=False)
    interval: float = 300.0

    def __post_init__(self) -> None:
        try:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - an extra
            from azure.keyvault.secrets import SecretClient  # noqa: PLC0415 - as above
        except ImportError as missing:
            raise _needs("Azure Key Vault", "azure") from missing
        self.client = self.client or SecretClient(self.vault_url, DefaultAzureCredential())

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the secret; see `KeySource.fetch`."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - an extra

        text = failure = ""
        try:
            answer = cast("SecretClient", self.client).get_secret(
                self.name, connection_timeout=_TIMEOUT, read_timeout=_TIMEOUT
            )
            text = answer.value or ""
        except AzureError as error:
            failure = type(error).__name__
        return _keys(text, failure, "Azure Key Vault")


@dataclass(slots=True, kw_only=True)
class HashiCorpVaultSource:
    """A secret of HashiCorp Vault's KV engine, version 2. Needs the extra `vault`.

    A renewable token is renewed when half its life is over, while the ring is in use. A process that may make no call
    for longer than its token lives needs `login`, which is asked for a new one when Vault refuses the old.

    Args:
        path: the secret's path below the mount point; its field `MISTRAL_API_KEYS` or `MISTRAL_API_KEY` holds the keys.
        mount_point: where the engine is mounted.
        client: a client of yours; by default one with `VAULT_ADDR` and `VAULT_TOKEN`.
        login: logs the client in, for instance `lambda client: client.auth.approle.login(...)`.
        interval: seconds after which it is asked again.

    Raises:
        ImportError: when the extra is not installed.
    """

    path: str
    mount_point: str = "secret"
    client: "VaultClient | None" = field(default=None, repr=False)
    login: "Callable[[VaultClient], object] | None" = field(default=None, repr=False)
    interval: float = 300.0

    def __post_init__(self) -> None:
        try:
            import hvac  # noqa: PLC0415 - an extra
        except ImportError as missing:
            raise _needs("HashiCorp Vault", "vault") from missing
        self.client = self.client or hvac.Client(timeout=int(_TIMEOUT))

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the secret; see `KeySource.fetch`."""
        text, failure, refused = self._attempt(self._renew)
        if refused and self.login is not None:
            text, failure, _ = self._attempt(self.login)
        return _keys(text, failure, "HashiCorp Vault")

    def _attempt(self, prepare: "Callable[[VaultClient], object]") -> tuple[str, str, bool]:
        """The secret's text, the class of an error, and whether the token was refused."""
        from hvac.exceptions import Forbidden, Unauthorized, VaultError  # noqa: PLC0415 - an extra
        from requests import RequestException  # noqa: PLC0415 - hvac's own

        client = cast("VaultClient", self.client)
        try:
            prepare(client)
            answer = client.secrets.kv.v2.read_secret_version(
                path=self.path, mount_point=self.mount_point, raise_on_deleted_version=True
            )
        except (VaultError, RequestException) as error:
            return "", type(error).__name__, isinstance(error, Forbidden | Unauthorized)
        return json.dumps(answer["data"]["data"]), "", False

    @staticmethod
    def _renew(client: "VaultClient") -> None:
        token = client.auth.token.lookup_self()["data"]
        if token.get("renewable") and token["ttl"] < token["creation_ttl"] / 2:
            client.auth.token.renew_self()


def _keys(text: str, failure: str, manager: str) -> tuple[ApiKey, ...]:
    if failure:
        raise GuardUnavailable(
            "keys", f"{manager} gave no secret ({failure}): check its name, the permission to read it, and the network."
        )
    if not text.lstrip().startswith("{"):
        return as_keys(parse_keys(text))
    try:
        fields = json.loads(text)
    except ValueError:  # its message would quote the text
        fields = None
    values = [fields[name] for name in _FIELDS if name in fields] if isinstance(fields, Mapping) else []
    if not values or not isinstance(values[0], str):
        raise MissingKeyError(f"The secret in {manager} is a JSON object without a text in {' or '.join(_FIELDS)}.")
    return as_keys(parse_keys(values[0]))


def _needs(what: str, extra: str) -> ImportError:
    return ImportError(f"{what} needs an extra: pip install 'guard-integrations[{extra}]'")
