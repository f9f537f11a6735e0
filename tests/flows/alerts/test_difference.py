"""Two wordings side by side: nothing is made up, nothing that differs is left out, and long ones stay readable."""

import time

from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.difference import LONGEST, Piece, difference, is_short

WORDS = st.lists(st.sampled_from("a bb ccc dddd eeeee with of the".split()), min_size=1, max_size=9)


def told(pieces, *kinds):
    return " ".join(piece.text for piece in pieces if piece.kind in kinds)


def test_words_that_stayed_are_told_once():
    found = difference("Synthetic Tracing With Report", "Synthetic Heart Tracing With Report and Signature")

    assert found == (
        Piece("same", "Synthetic"),
        Piece("new", "Heart"),
        Piece("same", "Tracing With Report"),
        Piece("new", "and Signature"),
    )


def test_a_wording_that_is_another_altogether_takes_the_place_of_the_old_one_as_a_whole():
    found = difference("Synthetic look at a joint", "Another invented sentence about tests a clinician may read")

    assert [piece.kind for piece in found] == ["gone", "new"]


def test_a_small_word_that_both_happen_to_have_does_not_break_a_change_apart():
    found = difference(
        "Synthetic plan made for use of tall boxes here today", "Synthetic plan sent with many of big jars here today"
    )

    assert found == (
        Piece("same", "Synthetic plan"),
        Piece("gone", "made for use of tall boxes"),
        Piece("new", "sent with many of big jars"),
        Piece("same", "here today"),
    )


@given(WORDS, WORDS)
def test_what_stayed_and_went_is_the_old_wording_and_what_stayed_and_came_the_new_one(old, new):
    found = difference(" ".join(old), " ".join(new))

    if old != new:
        assert told(found, "same", "gone") == " ".join(old)
        assert told(found, "same", "new") == " ".join(new)
    else:
        assert found == ()


def test_a_long_text_is_cut_around_what_differs():
    words = [f"word{number}" for number in range(400)]
    changed = [*words[:200], "Synthetic", *words[201:]]

    found = difference(" ".join(words), " ".join(changed))

    assert [piece.kind for piece in found] == ["same", "gone", "new", "same"]
    assert found[0].text == "… " + " ".join(words[192:200])
    assert (found[1].text, found[2].text) == ("word200", "Synthetic")
    assert found[3].text == " ".join(words[201:209]) + " …"


def test_two_long_words_are_cut_to_where_they_part():
    found = difference("x" * 3000 + "old" + "y" * 3000, "x" * 3000 + "new" + "y" * 3000)

    assert [piece.kind for piece in found] == ["gone", "new"]
    assert all(len(piece.text) <= LONGEST + 2 for piece in found)
    assert "old" in found[0].text
    assert "new" in found[1].text


def test_texts_of_any_length_take_no_time_to_speak_of():
    """Looking for what they share takes the product of their lengths."""
    old = " ".join(f"a{number % 97} b{number}" for number in range(10_000))
    new = " ".join(f"a{number % 89} c{number}" for number in range(10_000))
    begun = time.process_time()

    found = difference(old, new)

    assert time.process_time() - begun < 2
    assert sum(len(piece.text) for piece in found) < 5000


def test_only_a_few_words_are_short():
    assert is_short("090")
    assert is_short("2026-01-01")
    assert not is_short("Synthetic words of three")
    assert not is_short("W" * 30)
