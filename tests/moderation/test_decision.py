import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.findings import Action
from guard_integrations.core.moderation.decision import (
    CATEGORIES_2411,
    CATEGORIES_2603,
    SUBJECTS,
    Answer,
    ModerationRules,
    join,
    parse_answers,
)
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

MERGED = "dangerous_and_criminal_content"
TAXONOMIES = st.sampled_from([CATEGORIES_2411, CATEGORIES_2603])
SCORES = st.floats(0, 1)


@st.composite
def answers(draw, taxonomy=TAXONOMIES):
    names = sorted(draw(taxonomy))
    return Answer(
        categories={name: draw(st.booleans()) for name in names}, scores={name: draw(SCORES) for name in names}
    )


@st.composite
def rules(draw):
    names = sorted(CATEGORIES_2411 | CATEGORIES_2603 - {"jailbreaking"})
    some = st.sets(st.sampled_from(names), max_size=3).map(frozenset)
    return ModerationRules(
        preset=draw(st.sampled_from(["harm-only", "all"])),
        thresholds=draw(st.dictionaries(st.sampled_from(names), SCORES, max_size=3)),
        ignore=draw(some),
        flag_only=draw(some),
    )


def body(*answered):
    return {"results": [{"categories": dict(a.categories), "category_scores": dict(a.scores)} for a in answered]}


@given(answers())
def test_without_settings_a_harm_that_the_classifier_sees_blocks_and_a_subject_does_not(answer):
    verdict = ModerationRules().decide(answer)
    harms = {name for name, hit in answer.categories.items() if hit} - SUBJECTS
    assert verdict.safe is not bool(harms)
    assert set(verdict.flags) == harms
    assert verdict.scores == answer.scores


@given(answers())
def test_the_preset_all_judges_every_category(answer):
    verdict = ModerationRules(preset="all").decide(answer)
    assert set(verdict.flags) == {name for name, hit in answer.categories.items() if hit}


@given(rules(), answers())
def test_a_threshold_overrules_the_classifier_and_nothing_else_does(chosen, answer):
    verdict = chosen.decide(answer)
    for name, hit in answer.categories.items():
        threshold = chosen.threshold(name)
        expected = hit if threshold is None else answer.scores[name] >= threshold
        assert (name in verdict.flags) is (expected and chosen.action(name) is not None)
    assert verdict.safe is not any(found.action is Action.BLOCK for found in verdict.findings)


@given(rules(), st.lists(answers(), min_size=1, max_size=4))
def test_pieces_join_by_maximum(chosen, pieces):
    verdicts = [chosen.decide(piece) for piece in pieces]
    joined = join(verdicts)
    assert joined.safe is all(verdict.safe for verdict in verdicts)
    assert set(joined.flags) == {flag for verdict in verdicts for flag in verdict.flags}
    for name, score in joined.scores.items():
        assert score == max(piece.scores.get(name, 0.0) for piece in pieces)


@given(st.lists(answers(), min_size=1, max_size=3))
def test_what_the_api_says_is_read_as_it_is(said):
    assert parse_answers(body(*said), len(said)) == tuple(said)


ODD = st.sampled_from([None, "true", 1, [], {}, float("nan"), float("inf"), -0.1, 1.1, "0.5"])


@given(st.data(), answers(), ODD)
def test_one_odd_value_anywhere_is_an_error_and_never_a_pass(data, answer, odd):
    broken = body(answer)
    side = data.draw(st.sampled_from(["categories", "category_scores"]))
    name = data.draw(st.sampled_from(sorted(answer.scores)))
    if side == "category_scores" and odd == 1 and not isinstance(odd, bool):
        odd = True
    broken["results"][0][side][name] = odd
    with pytest.raises(GuardUnavailable) as caught:
        parse_answers(broken, 1)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"results": None},
        {"results": {}},
        {"results": []},
        {"results": [None]},
        {"results": [{}]},
        {"results": [{"categories": {}, "category_scores": None}]},
        {"results": [{"categories": {"sexual": False}, "category_scores": {}}]},
        {"results": [{"categories": {"An odd Name": False}, "category_scores": {"An odd Name": 0.0}}]},
    ],
)
def test_a_body_that_is_no_answer_is_an_error(broken):
    with pytest.raises(GuardUnavailable):
        parse_answers(broken, 1)


@given(answers(), st.integers(0, 5))
def test_half_a_list_of_results_is_an_error(answer, expected):
    said = body(answer, answer)
    if expected == 2:
        return
    with pytest.raises(GuardUnavailable, match="2 results"):
        parse_answers(said, expected)


@given(answers(), st.data())
def test_an_answer_without_a_category_that_counts_is_an_error(answer, data):
    gone = data.draw(st.sampled_from(sorted(answer.categories.keys() - SUBJECTS - {MERGED})))
    rest = Answer(
        categories={n: v for n, v in answer.categories.items() if n != gone},
        scores={n: v for n, v in answer.scores.items() if n != gone},
    )
    with pytest.raises(GuardUnavailable, match=gone):
        ModerationRules().decide(rest)


def said(taxonomy=CATEGORIES_2603, **scores):
    full = dict.fromkeys(taxonomy, 0.0) | scores
    return Answer(categories={name: score >= 0.5 for name, score in full.items()}, scores=full)


def test_the_split_of_dangerous_and_criminal_holds_on_both_sides():
    old = said(CATEGORIES_2411, **{MERGED: 0.4})
    assert ModerationRules().decide(old).safe
    assert not ModerationRules(thresholds={"criminal": 0.3, "dangerous": 0.9}).decide(old).safe
    assert ModerationRules(thresholds={"criminal": 0.3}, ignore=frozenset({"criminal", "dangerous"})).decide(old).safe
    new = said(criminal=0.4)
    assert not ModerationRules(thresholds={MERGED: 0.3}).decide(new).safe
    assert ModerationRules(thresholds={MERGED: 0.3}, flag_only=frozenset({MERGED})).decide(new).flags == ("criminal",)


def test_a_threshold_for_jailbreaking_is_an_error_where_the_model_does_not_judge_it():
    with pytest.raises(GuardUnavailable, match="jailbreaking"):
        ModerationRules(thresholds={"jailbreaking": 0.5}).decide(said(CATEGORIES_2411))
    assert ModerationRules().decide(said(CATEGORIES_2411)).safe


def test_a_doctor_may_ask_and_a_threshold_brings_a_subject_back():
    medical = said(health=0.99)
    assert ModerationRules().decide(medical).safe
    assert not ModerationRules(preset="all").decide(medical).safe
    assert not ModerationRules(thresholds={"health": 0.9}).decide(medical).safe


def test_an_unknown_category_does_what_the_policy_says():
    odd = said(weapons=0.9)
    assert not ModerationRules().decide(odd).safe
    flagged = ModerationRules(unknown="flag").decide(odd)
    assert flagged.safe
    assert flagged.flags == ("weapons",)
    assert ModerationRules(unknown="ignore").decide(odd).flags == ()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"thresholds": {"sexuall": 0.5}}, "sexuall"),
        ({"thresholds": {"sexual": 1.5}}, "sexual"),
        ({"thresholds": {"sexual": True}}, "sexual"),
        ({"thresholds": {"sexual": float("nan")}}, "sexual"),
        ({"ignore": frozenset({"helth"})}, "helth"),
        ({"flag_only": frozenset({"x"})}, "x"),
        ({"ignore": CATEGORIES_2411 | CATEGORIES_2603}, "no category"),
        ({"preset": "none"}, "preset"),
        ({"unknown": "pass"}, "unknown"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, named):
    with pytest.raises(PolicyError, match=named):
        ModerationRules(**settings)


def test_a_refusal_carries_categories_and_scores_of_what_was_refused():
    verdict = ModerationRules(flag_only=frozenset({"sexual"})).decide(said(sexual=0.8, selfharm=0.7), start=3, end=9)
    with pytest.raises(GuardBlocked) as caught:
        verdict.raise_if_unsafe("output")
    assert caught.value.categories == ("selfharm",)
    assert caught.value.scores == {"selfharm": 0.7}
    assert caught.value.rules == ("moderation-selfharm",)
    assert caught.value.stage == "output"
    assert [(found.start, found.end) for found in verdict.findings] == [(3, 9)] * 2
    assert pickle.loads(pickle.dumps(verdict)) == verdict  # noqa: S301 - our own bytes
