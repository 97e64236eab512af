"""The floors of the evaluation set, in both of its halves; `measure.py` prints what is missed in the half for tuning."""

import pytest
from pii.corpus import LANGUAGES, corpus
from pii.measure import measured, ours
from pii.values import SENSITIVE

EXAMPLES = tuple(corpus(seed=1))


@pytest.mark.parametrize("split", ["tune", "held"])
def test_personal_data_are_found(split):
    score = measured(ours(), [one for one in EXAMPLES if one.split == split])
    assert score.f1 >= 0.96
    assert score.touched_share <= 0.03
    assert score.negatives > 80


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_is_far_behind(language):
    assert measured(ours(), [one for one in EXAMPLES if one.language == language]).f1 >= 0.93


def test_every_kind_is_in_the_set_and_most_of_it_is_found():
    values = dict.fromkeys(SENSITIVE, 0)
    for example in EXAMPLES:
        for kind in example.kinds:
            values[kind] += 1
    score = measured(ours(), EXAMPLES)
    assert all(values.values())
    # A password in an address is found by the rules for secrets.
    rest = score.kinds.keys() - {"url_login"}
    assert [kind for kind in rest if score.kinds[kind] > values[kind] / 2] == []


def test_the_measure_counts_what_is_missed_and_what_is_wrong():
    example = next(one for one in EXAMPLES if one.spans)
    start, end = example.spans[0]
    assert measured(lambda _: example.spans, [example]).f1 == 1.0
    assert measured(lambda _: [], [example]).f1 == 0.0
    assert measured(lambda _: [(start, end - 1)], [example]).missed >= 1
    assert measured(lambda text: [(0, len(text))], EXAMPLES).touched_share == 1.0
