"""Each client library against a peer that speaks its protocol, on loopback."""

import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from guard_integrations import (
    AwsSecretsManagerSource,
    AzureKeyVaultSource,
    GoogleSecretManagerSource,
    GuardUnavailable,
    HashiCorpVaultSource,
    KeyRing,
    MissingKeyError,
)
from guard_integrations.core.rotation.refresh import LEAST_INTERVAL
from guard_integrations.core.rotation.secret_managers import _keys

A, B = ("k" + letter * 31 for letter in "ab")


def values(keys):
    return [key.secret.get_secret_value() for key in keys]


class Peer:
    """An HTTP server whose answers a function gives: (method, path, headers, body) -> (status, headers, JSON)."""

    def __init__(self, answer, context=None):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, said = answer(self.command, self.path, self.headers, body)
                content = json.dumps(said).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = reply  # noqa: N815 - http.server's names

            def log_message(self, *said):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def assert_a_rotation_at_the_provider_loses_no_request(source, put_new_secret):
    """The manager has a new key, the old one is revoked: the next request asks, and succeeds."""
    ring = KeyRing.from_source(source)
    put_new_secret()
    ring.refresher._asked_at -= LEAST_INTERVAL
    wire = httpx.MockTransport(
        lambda request: httpx.Response(200 if request.headers["Authorization"] == f"Bearer {B}" else 401)
    )
    with httpx.Client(auth=ring.auth(), transport=wire) as client:
        assert client.get("http://127.0.0.1/v1/models").status_code == 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # botocore's and moto's own
def test_aws_secrets_manager(monkeypatch):
    pytest.importorskip("boto3", reason="the extra `aws` is not installed; make check installs it")
    server = pytest.importorskip("moto.server", reason="moto is not installed; make check installs it")
    import boto3  # noqa: PLC0415 - an extra

    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "eu-west-3"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        admin = boto3.client("secretsmanager")
        admin.create_secret(Name="mistral", SecretString=f"prod:{A}")
        source = AwsSecretsManagerSource(secret_id="mistral")  # noqa: S106 - its name
        assert values(source.fetch()) == [A]
        assert source.fetch()[0].workspace == "prod"
        assert_a_rotation_at_the_provider_loses_no_request(
            source, lambda: admin.put_secret_value(SecretId="mistral", SecretString=json.dumps({"MISTRAL_API_KEY": B}))
        )
        admin.put_secret_value(SecretId="mistral", SecretBinary=f"{A}\n{B}".encode())
        assert values(source.fetch()) == [A, B]
        with pytest.raises(GuardUnavailable, match="ResourceNotFoundException") as caught:
            AwsSecretsManagerSource(secret_id="none").fetch()  # noqa: S106 - as above
        assert caught.value.__context__ is None
    finally:
        moto.stop()


@pytest.mark.slow
def test_google_secret_manager():
    secretmanager = pytest.importorskip(
        "google.cloud.secretmanager", reason="the extra `gcp` is not installed; make check installs it"
    )
    import grpc  # noqa: PLC0415 - an extra
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415 - as above
        SecretManagerServiceGrpcTransport,
    )

    secret = {
        "projects/p/secrets/mistral/versions/latest": A.encode(),
        "projects/p/secrets/mistral/versions/1": b"\xff",
    }

    def access(request, context):
        if request.name not in secret:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret {request.name} not found")
        return secretmanager.AccessSecretVersionResponse(name=request.name, payload={"data": secret[request.name]})

    handler = grpc.unary_unary_rpc_method_handler(
        access,
        request_deserializer=secretmanager.AccessSecretVersionRequest.deserialize,
        response_serializer=secretmanager.AccessSecretVersionResponse.serialize,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    client = secretmanager.SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
    try:
        source = GoogleSecretManagerSource(name="projects/p/secrets/mistral", client=client)
        assert values(source.fetch()) == [A]
        assert_a_rotation_at_the_provider_loses_no_request(
            source, lambda: secret.update({"projects/p/secrets/mistral/versions/latest": B.encode()})
        )
        for name in ("projects/p/secrets/none", "projects/p/secrets/mistral/versions/1"):
            with pytest.raises(GuardUnavailable, match=r"NotFound|UnicodeDecodeError") as caught:
                GoogleSecretManagerSource(name=name, client=client).fetch()
            assert caught.value.__context__ is None
    finally:
        channel.close()
        server.stop(None).wait()


class Entra:
    """Microsoft's token endpoint and a Key Vault behind one port, as far as the clients ask."""

    tenant = "11111111-2222-3333-4444-555555555555"

    def __init__(self, context):
        self.secret = A
        self.tokens = 0
        self.peer = Peer(self.answer, context)
        self.url = f"https://127.0.0.1:{self.peer.port}"

    def answer(self, method, path, headers, body):
        path = path.partition("?")[0]
        if path.endswith("/openid-configuration"):
            urls = {name: f"{self.url}/{self.tenant}/oauth2/v2.0/{name}" for name in ("authorize", "token")}
            return 200, {}, {
                "authorization_endpoint": urls["authorize"],
                "token_endpoint": urls["token"],
                "issuer": f"{self.url}/{self.tenant}/v2.0",
            }  # fmt: skip
        if path.endswith("/token"):
            self.tokens += 1
            return 200, {}, {"token_type": "Bearer", "expires_in": 3600, "access_token": "a-token"}
        if headers.get("Authorization") != "Bearer a-token":
            challenge = f'Bearer authorization="{self.url}/{self.tenant}", resource="https://vault.azure.net"'
            return 401, {"WWW-Authenticate": challenge}, {"error": {"code": "Unauthorized", "message": "no token"}}
        if not path.startswith("/secrets/mistral"):
            return 404, {}, {"error": {"code": "SecretNotFound", "message": "none"}}
        return 200, {}, {"value": self.secret, "id": f"{self.url}/secrets/mistral/0123456789abcdef", "attributes": {}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # msal's and azure-core's own
def test_azure_key_vault(tmp_path):
    azure = pytest.importorskip(
        "azure.keyvault.secrets", reason="the extra `azure` is not installed; make check installs it"
    )
    trustme = pytest.importorskip("trustme", reason="trustme is not installed; make check installs it")
    from azure.identity import ClientSecretCredential  # noqa: PLC0415 - an extra

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    entra = Entra(context)
    trusted = str(tmp_path / "ca.pem")
    credential = ClientSecretCredential(
        entra.tenant,
        "an-app",
        "its-secret",
        authority=entra.url,
        disable_instance_discovery=True,
        connection_verify=trusted,
    )
    client = azure.SecretClient(
        entra.url, credential, verify_challenge_resource=False, connection_verify=trusted, retry_total=0
    )
    try:
        source = AzureKeyVaultSource(name="mistral", client=client)
        assert values(source.fetch()) == [A]
        assert entra.tokens == 1

        def put():
            entra.secret = B

        assert_a_rotation_at_the_provider_loses_no_request(source, put)
        with pytest.raises(GuardUnavailable, match="ResourceNotFoundError") as caught:
            AzureKeyVaultSource(name="none", client=client).fetch()
        assert caught.value.__context__ is None
    finally:
        client.close()
        credential.close()
        entra.peer.close()


class Vault:
    """Vault's KV engine and its tokens, which live for an hour of its own clock."""

    life = 3600

    def __init__(self):
        self.versions = [{"MISTRAL_API_KEYS": A}]
        self.tokens = {"first": self.life}
        self.now = 0
        self.born = {"first": 0}
        self.asked = []
        self.peer = Peer(self.answer)
        self.url = f"http://127.0.0.1:{self.peer.port}"

    def left(self, token):
        return self.tokens[token] - (self.now - self.born[token])

    def answer(self, method, path, headers, body):
        self.asked.append(path.removeprefix("/v1/"))
        if path == "/v1/auth/approle/login":
            self.tokens["second"], self.born["second"] = self.life, self.now
            return 200, {}, {"auth": {"client_token": "second", "renewable": True, "lease_duration": self.life}}
        token = headers.get("X-Vault-Token", "")
        if token not in self.tokens or self.left(token) <= 0:
            return 403, {}, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/lookup-self":
            return 200, {}, {"data": {"renewable": True, "ttl": self.left(token), "creation_ttl": self.life}}
        if path == "/v1/auth/token/renew-self":
            self.born[token] = self.now
            return 200, {}, {"auth": {"client_token": token}}
        if path.partition("?")[0] == "/v1/team/data/mistral":
            return 200, {}, {"data": {"data": self.versions[-1], "metadata": {"version": len(self.versions)}}}
        return 404, {}, {"errors": []}


@pytest.fixture
def vault(monkeypatch):
    vault = Vault()
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", "first")
    yield vault
    vault.peer.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # hvac keeps its session open
def test_hashicorp_vault(vault):
    pytest.importorskip("hvac", reason="the extra `vault` is not installed; make check installs it")
    source = HashiCorpVaultSource(path="mistral", mount_point="team")
    assert values(source.fetch()) == [A]
    assert_a_rotation_at_the_provider_loses_no_request(source, lambda: vault.versions.append({"MISTRAL_API_KEY": B}))
    for _ in range(3):  # a token that is used lives on
        vault.now += 2500
        assert values(source.fetch()) == [B]
    assert vault.asked.count("auth/token/renew-self") == 3
    with pytest.raises(GuardUnavailable, match="InvalidPath") as caught:
        HashiCorpVaultSource(path="none", mount_point="team").fetch()
    assert caught.value.__context__ is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # as above
def test_a_vault_token_that_ran_out_is_an_error_or_a_new_login(vault):
    pytest.importorskip("hvac", reason="the extra `vault` is not installed; make check installs it")
    vault.now += vault.life
    with pytest.raises(GuardUnavailable, match="Forbidden") as caught:
        HashiCorpVaultSource(path="mistral", mount_point="team").fetch()
    assert caught.value.__context__ is None
    source = HashiCorpVaultSource(
        path="mistral",
        mount_point="team",
        login=lambda client: client.auth.approle.login(role_id="role", secret_id="secret"),  # noqa: S106 - a peer's
    )
    assert values(source.fetch()) == [A]


@pytest.mark.parametrize("text", ['{"OTHER": "x"}', '{"MISTRAL_API_KEY": 7}', "{not json", ""])
def test_a_secret_without_keys_says_so_and_shows_nothing(text):
    with pytest.raises(MissingKeyError) as caught:
        _keys(text, "", "the manager")
    assert caught.value.__context__ is None
