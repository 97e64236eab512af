"""Names of people and places: by Presidio's own engine, over a spaCy pipeline that needs no download."""

import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from chunks import cut, places
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard_integrations import GuardPolicy, InputSanitizer, OutputSanitizer, PseudonymVault
from guard_integrations.cli.app import app
from guard_integrations.core.scanner.names import MAX_PARAGRAPH
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

TOLD = "Ada Lovelace moved to Paris in the spring.\n\nHer daughter Anne stayed in London, near 10.1.2.3 or so."


@dataclass
class Name:
    entity_type: str
    start: int
    end: int
    score: float = 0.85


class Listed:
    """Knows some names, each only in a sentence that ends: what it says of a word depends on what follows."""

    supported_languages = ["en"]  # noqa: RUF012 - as Presidio has it
    names = re.compile(r"(Ada Lovelace|Ada|Anne|Zorblax)|(Paris|London|Lyon)")

    def analyze(self, text, language, entities):
        assert language == "en"
        text.encode()  # half a character is no text to spaCy either
        found = []
        for sentence in re.finditer(r"[^.!?]*[.!?]", text):
            for name in self.names.finditer(text, *sentence.span()):
                kind = "PERSON" if name[1] else "LOCATION"
                found.append(Name(kind, *name.span()))
        return [name for name in found if name.entity_type in entities]


def output(**settings):
    return OutputSanitizer(GuardPolicy(**settings), analyzer=Listed())


def streamed(sanitizer, pieces):
    stream = sanitizer.stream()
    shown = [stream.feed(piece) for piece in pieces]
    return "".join([*shown, stream.finish()]), stream.findings


def test_names_become_labels_and_nothing_else_changes():
    done = output().sanitize(TOLD)
    assert done.text == (
        "[PERSON] moved to [LOCATION] in the spring.\n\nHer daughter [PERSON] stayed in [LOCATION], near [IP] or so."
    )
    assert [finding.rule for finding in done.findings] == [
        *("person-name", "place-name", "person-name", "place-name", "ipv4")
    ]
    assert TOLD[done.findings[2].start : done.findings[2].end] == "Anne"
    assert OutputSanitizer().sanitize("Ada moved to Paris.").text == "Ada moved to Paris."


def test_half_a_character_beside_a_name_keeps_nobody_from_reading_it():
    assert output().sanitize("Ada\ud83d moved to \udc00Paris.").text == "[PERSON]\ud83d moved to \udc00[LOCATION]."


FRAGMENTS = [
    *(
        "Ada Lovelace",
        "Ada",
        "Anne",
        "Paris",
        "London",
        " Lovelace",
        "Zor",
        "blax",
        ".",
        "!",
        " ",
        "\n",
        "\n\n",
        "\n \n",
    ),
    *(
        "ada@example.com",
        "078-05-1120",
        "Adam",
        "xPariS",
        "\r\n",
        "\ud800",
        "漢",
        "[PERSON]",
        "<b>",
        "![a](//e.x/",
        ")",
    ),
    *("password: Anne99London88", "`Ada`", "sk-", "x" * 70),
]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join)


SANITIZERS = {
    strategy: OutputSanitizer(
        GuardPolicy(strategies={"pii": strategy}, hash_key="k" * 16), analyzer=Listed(), vault=PseudonymVault()
    )
    for strategy in ("redact", "mask", "hash", "pseudonymise")
}


@pytest.mark.parametrize("strategy", SANITIZERS)
@settings(max_examples=100, deadline=None)
@example(text="x" * 70 + "Adaada@example.com", at=[])  # without the name an address is left
@given(text=texts, at=places)
def test_a_stream_equals_the_batch(strategy, text, at):
    sanitizer = SANITIZERS[strategy]
    batch = sanitizer.sanitize(text, restore=False)
    stream = sanitizer.stream(restore=False)
    joined = "".join([*map(stream.feed, cut(text, at)), stream.finish()])
    assert (joined, stream.findings) == (batch.text, batch.findings)
    assert sanitizer.sanitize(batch.text, restore=False).text == batch.text


def test_a_stream_shows_a_paragraph_when_it_has_ended_and_never_a_letter_of_a_name():
    stream = output().stream()
    paragraph, rest = TOLD.split("\n\n")
    assert "".join(map(stream.feed, paragraph)) == ""
    assert stream.feed("\n\n") == "[PERSON] moved to [LOCATION] in the spring.\n\n"
    assert "".join(map(stream.feed, rest)) == ""
    assert stream.finish().startswith("Her daughter [PERSON] stayed")


def test_what_is_held_is_bounded_and_a_long_paragraph_is_cut_after_a_sentence():
    sentence = "All that Ada saw of Paris was a long row of trees. "
    text = sentence * 600
    stream = output().stream()
    most = 0
    shown = ""
    for at in range(0, len(text), 100):
        shown += stream.feed(text[at : at + 100])
        most = max(most, stream.held)
    assert most <= MAX_PARAGRAPH + 100
    assert shown + stream.finish() == "All that [PERSON] saw of [LOCATION] was a long row of trees. " * 600
    joined, _ = streamed(output(), ["x" * 3000] * 3)
    assert joined == "x" * 9000


def test_the_policy_says_what_is_done_with_a_name():
    text = "Ada moved to Paris."
    assert output(disabled_rules={"place-name"}).sanitize(text).text == "[PERSON] moved to Paris."
    assert output(disabled_rules={"place-name", "person-name"}).sanitize(text).text == text
    assert output(allow=("paris",)).sanitize(text).text == "[PERSON] moved to Paris."
    assert output(strategies={"person-name": "mask"}).sanitize(text).text == "******** moved to [LOCATION]."
    flagged = output(actions={"pii": "flag"}).sanitize(text)
    assert flagged.text == text
    assert [finding.rule for finding in flagged.findings] == ["person-name", "place-name"]
    with pytest.raises(GuardBlocked) as blocked:
        output(strategies={"person-name": "block"}).sanitize(text)
    assert blocked.value.rules == ("person-name",)


def test_a_name_inside_a_secret_does_not_break_it_up():
    key = "ghp_" + "AnneParis" * 4
    assert output().sanitize(f"My token is {key}.").text == OutputSanitizer().sanitize(f"My token is {key}.").text
    assert output().sanitize("Write to Ada@example.com.").text == "Write to [EMAIL]."


def test_a_name_goes_to_the_model_as_a_pseudonym_and_comes_back():
    vault = PseudonymVault()
    policy = GuardPolicy(strategies={"pii": "pseudonymise"})
    sent = InputSanitizer(policy, vault=vault, analyzer=Listed()).sanitize("I am Ada. What is there in Paris?").text
    assert "Ada" not in sent
    assert "Paris" not in sent
    token = re.search(r"\[PERSON_1_\w+\]", sent)
    assert token is not None
    answers = OutputSanitizer(policy, vault=vault, analyzer=Listed())
    assert answers.sanitize(f"Well, {token[0]}.").text == "Well, Ada."
    # Without a vault, and unless the policy says so, the user's own names go on.
    assert InputSanitizer(analyzer=Listed()).sanitize("I am Ada.").text == "I am Ada."


def test_an_analyzer_that_fails_lets_nothing_through_and_says_nothing():
    class Failing(Listed):
        def analyze(self, text, language, entities):
            raise RuntimeError(text)

    stream = OutputSanitizer(analyzer=Failing()).stream()
    stream.feed("Ada is")
    with pytest.raises(GuardUnavailable) as failed:
        stream.finish()
    assert "Ada" not in str(failed.value)
    assert failed.value.__context__ is None


def test_without_the_extra_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['presidio_analyzer'] = None\n"
        "from guard_integrations import GuardPolicy, OutputSanitizer\n"
        "try: OutputSanitizer(GuardPolicy(name_models={'en': 'en_core_web_sm'}))\n"
        "except ImportError as error: print(error, error.__context__)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert said.strip() == "name_models need an extra: pip install 'guard-integrations[presidio]' None"


@pytest.mark.parametrize(
    "command", [["scan", "TEXT"], ["policy", "explain", "Hi", "--stage", "output"], ["chat", "--local"]]
)
def test_the_command_line_says_it_too(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    (policy := tmp_path / "policy.toml").write_text('[name_models]\nen = "en_core_web_sm"\n')
    (text := tmp_path / "a.txt").write_text("Hi")
    command = [str(text) if word == "TEXT" else word for word in command]
    done = CliRunner().invoke(app, [*command, "--policy", str(policy)], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "pip install 'guard-integrations[presidio]'" in done.output


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a spaCy pipeline that knows some names by rule, as `spacy.load` reads it."""
    spacy = pytest.importorskip("spacy", reason="needs the extra `presidio`")
    pytest.importorskip("presidio_analyzer", reason="needs the extra `presidio`")
    made = spacy.blank("en")
    ruler = made.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Ada Lovelace"},
            {"label": "PERSON", "pattern": [{"LOWER": "anne"}]},
            {"label": "GPE", "pattern": "Paris"},
            {"label": "LOC", "pattern": "London"},
            {"label": "ORG", "pattern": "Meridian Bank"},
        ]
    )
    folder = tmp_path_factory.mktemp("model") / "en_names"
    made.to_disk(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_presidio_over_the_models_of_the_policy(model, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(f"[name_models]\nen = {model!r}\n")
    policy = GuardPolicy.from_toml(file)
    assert policy.fingerprint != GuardPolicy().fingerprint
    sanitizer = OutputSanitizer(policy)
    done = sanitizer.sanitize(TOLD + " Meridian Bank stays.")
    assert done.text.endswith("[PERSON] stayed in [LOCATION], near [IP] or so. Meridian Bank stays.")
    assert done.text.startswith("[PERSON] moved to [LOCATION] in the spring.\n\n")
    assert streamed(sanitizer, TOLD) == streamed(sanitizer, [TOLD])
    with pytest.raises(PolicyError, match="python -m spacy download en_core_web_none"):
        OutputSanitizer(GuardPolicy(name_models={"en": "en_core_web_none"}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@settings(max_examples=200, deadline=None)
@given(text=texts, at=places)
def test_with_presidio_a_stream_equals_the_batch(model, text, at):
    sanitizer = OutputSanitizer(GuardPolicy(name_models={"en": model}))
    batch = sanitizer.sanitize(text)
    assert streamed(sanitizer, cut(text, at)) == (batch.text, batch.findings)
