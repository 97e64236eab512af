import copy
import pickle

import pytest
from pydantic import ValidationError

from guard_integrations import Action, Category, GuardPolicy, PolicyError, Strategy


def test_no_argument_is_the_balanced_profile():
    assert GuardPolicy() == GuardPolicy.balanced()


def test_profiles_differ_in_what_they_do():
    assert GuardPolicy.basic().max_input_chars == 4_000
    assert GuardPolicy.balanced().max_input_chars == 100_000
    assert GuardPolicy.balanced().action(Category.INJECTION) is Action.FILTER
    assert GuardPolicy.strict().action(Category.INJECTION) is Action.BLOCK


def test_one_action_of_a_profile_can_be_changed_alone():
    policy = GuardPolicy.strict(actions={"pii": "flag"})
    assert policy.action(Category.PII) is Action.FLAG
    assert policy.action(Category.INJECTION) is Action.BLOCK


def test_a_strategy_is_found_by_rule_then_by_category():
    policy = GuardPolicy(strategies={"email": "hash", "pii": "mask"})
    assert policy.strategy("email", Category.PII) is Strategy.HASH
    assert policy.strategy("iban", Category.PII) is Strategy.MASK
    assert policy.strategy("jwt", Category.SECRET) is Strategy.REDACT


def test_a_policy_is_a_value():
    policy = GuardPolicy(strategies={"email": "hash"}, hash_key="k" * 16)
    twin = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own bytes
    assert twin == policy
    assert twin.fingerprint == policy.fingerprint
    assert copy.deepcopy(policy) is policy
    with pytest.raises(ValidationError):
        policy.on_error = "allow"
    with pytest.raises(TypeError):
        policy.strategies["email"] = Strategy.REDACT


@pytest.mark.parametrize(
    "changed",
    [{"profile": "strict"}, {"actions": {"pii": "flag"}}, {"allow": ("a@b.co",)}, {"hash_key": "other"}],
)
def test_the_fingerprint_tells_policies_apart(changed):
    assert GuardPolicy(**changed).fingerprint != GuardPolicy().fingerprint


def test_a_pack_that_is_not_there_has_no_fingerprint(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        _ = GuardPolicy(rule_packs=(tmp_path / "none.toml",)).fingerprint


def test_the_hash_key_shows_nowhere():
    key = "canary" * 4
    policy = GuardPolicy(hash_key=key)
    assert key not in repr(policy) + str(policy) + policy.model_dump_json()


def test_a_toml_file_is_read_and_its_faults_are_named(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text('profile = "strict"\n[actions]\npii = "flag"\n')
    assert GuardPolicy.from_toml(file) == GuardPolicy.strict(actions={"pii": "flag"})
    for text, said in [
        ("", "is empty"),
        ("a = ", "is not TOML"),
        ("colour = 1", "colour"),
        ('on_error = "x"', "on_error"),
    ]:
        file.write_text(text)
        with pytest.raises(PolicyError, match=said):
            GuardPolicy.from_toml(file)
    with pytest.raises(PolicyError, match="cannot be read"):
        GuardPolicy.from_toml(tmp_path / "none.toml")


def test_a_changed_copy_is_another_policy_and_leaves_this_one_as_it_was():
    policy = GuardPolicy.strict(hash_key="a key of the test's", disabled_rules={"x"})
    before = policy.fingerprint
    other = policy.model_copy(update={"max_input_chars": 7})
    assert (other.max_input_chars, policy.max_input_chars) == (7, 100_000)
    assert policy.fingerprint == before != other.fingerprint
    assert (other.profile, other.actions, other.hash_key) == (policy.profile, policy.actions, policy.hash_key)
    assert policy.model_copy() is policy
    with pytest.raises(ValidationError):
        policy.model_copy(update={"max_input_chars": -1})


def test_equal_policies_are_one_key():
    known = {GuardPolicy(strategies={"pii": "mask"}): 1, GuardPolicy(): 2}
    assert known[GuardPolicy(strategies={"pii": "mask"})] == 1
    assert known[GuardPolicy.balanced()] == 2
    assert GuardPolicy.strict() not in known
