"""What is a key in a file, in all the ways of writing one; and what only looks like it."""

import random
import string

import pytest
from audit_projects import made_key
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.audit.secrets import find_secrets, masked, wherever

K = made_key(5)
FORMS = """
Mistral(api_key="K")
new Mistral({ apiKey: "K" })
MISTRAL_API_KEY=K
MISTRAL_API_KEY: K
ENV MISTRAL_API_KEY K
mistral_api_key: str = "K"
os.environ["MISTRAL_API_KEY"] = "K"
ChatMistralAI(mistral_api_key=SecretStr("K"))
headers = {"Authorization": "Bearer K"}
client = MistralClient("K")
export MISTRAL_API_KEY='K'
os.getenv("MISTRAL_API_KEY", "K")
curl -H "Authorization: Bearer K" https://api.mistral.ai/v1/models
"mistral_api_key": "K"
const MISTRAL_KEY = "K"
KeyRing(["K"])
api_keys=["K", "K"]
MISTRAL_API_KEYS=K,K
""".strip().split("\n")


@pytest.mark.parametrize("form", FORMS)
def test_a_key_of_mistral_is_found_and_no_more_than_it(form):
    text = f"x = 1\n{_filled(form)}\ny = 2\n"
    found = [text[secret.start : secret.end] for secret in find_secrets(text)]
    assert found == [K] * text.count(K)


def _filled(form: str) -> str:
    """The form with keys where a K stands for one, not where it is part of a name."""
    out = []
    for at, char in enumerate(form):
        before, after = form[at - 1 : at], form[at + 1 : at + 2]
        alone = char == "K" and not (before.isalpha() or before == "_") and not (after.isalpha() or after == "_")
        out.append(K if alone else char)
    return "".join(out)


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "0123456789abcdef0123456789abcdef"',  # a digest
        'api_key = os.environ["MISTRAL_API_KEY"]',
        "MISTRAL_API_KEY=your_mistral_api_key_goes_here01",
        "MISTRAL_API_KEY=${MISTRAL_API_KEY}",
        f"checksum: {K}",
        f'revision = "{K}"',
        'password = "hunter2!"',
        "redis://:pass@localhost:6379",
        "https://user:s3cret%20x@example.org/path",
        "-----BEGIN RSA PRIVATE KEY-----",
        "sk_live_" + "0123456789abcdefghij",
        "const E2B_API_KEY = process.env.E2B_API_KEY || ''",
        "    apiKey: process.env.E2B_API_KEY!,",
        "aws_secret_access_key=s3_settings.secret_access_key,",
        "mistral: let value: LibrariesDocumentsPatchV1Request = {",
        '<assemblyIdentity publicKeyToken="1fc8b3b9a1e18e3b">',
        "Downloading tiktoken-0.7.0-cp310-cp310-manylinux_2_17_x86_64.whl",
    ],
)
def test_what_is_no_key_is_left_alone(text):
    assert not find_secrets(f"{text}\n")


def test_what_is_no_finding_is_not_shown_either():
    text = "db = connect(password='hunter" + "2!x', user='a')\ncurl -u admin:Tr0ub4dor" + "9 https://example.com\n"
    shown = masked(text, wherever(text, find_secrets(text)))
    assert "hunter2" not in shown
    assert "Tr0ub4" not in shown
    assert "user='a'" in shown


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 999))
def test_wherever_a_key_stands_it_is_masked(before, after, seed):
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    key = "".join([*chosen.choices(string.ascii_letters + string.digits, k=29), "aZ7"])
    text = f'{before}\nMISTRAL_API_KEY="{key}"\n{after} {key} {before}'
    assert key not in masked(text, wherever(text, find_secrets(text)))
