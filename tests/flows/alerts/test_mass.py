"""A mass change is one message of a rule, not thousands."""

from dataclasses import replace

import pytest

from flows.alert_settings import RuleSettings
from flows.alerts.outbox import open_outbox
from flows.alerts.plan import MOST_MESSAGES, gather
from flows.alerts.rules import due_at, group_of
from flows.settings import Settings
from tests.flows.alerts.made import NOW, entry


@pytest.mark.parametrize(("codes", "messages"), [(MOST_MESSAGES, MOST_MESSAGES), (MOST_MESSAGES + 1, 1)])
def test_a_message_for_each_code_is_one_for_all_where_there_are_too_many(tmp_path, codes, messages):
    rule = RuleSettings(when="event", limit=20, channels=("feed",))
    settings = Settings(home=tmp_path, rules={"each": rule})
    entries = [entry(f"{number:05d}", rule="each") for number in range(codes)]
    entries = [replace(one, group=group_of(rule, one.item, due_at(rule, NOW))) for one in entries]
    with open_outbox(tmp_path) as outbox:
        outbox.add_plan("S", entries, {})
        made = gather(outbox, settings, NOW, {})
        assert outbox.open_entries() == []
    assert len(made) == messages
    assert sum(len(one.items) + sum((one.more or {}).values()) for one in made) == codes, "all of them are told"
