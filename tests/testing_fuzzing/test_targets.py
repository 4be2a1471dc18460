"""Every target with a few inputs, the same each time: a campaign (`make fuzz`) tries thousands."""

import random

import pytest

from holdfast.testing.fuzzing import TARGETS, Dice, crash_of, damaged, examined, target_of
from holdfast.testing.fuzzing.damage import KINDS, LONGEST
from holdfast.testing.fuzzing.documents import VALUES
from holdfast.testing.fuzzing.formats import forged_envelope, forged_journal, forged_manifest
from holdfast.testing.fuzzing.samples import samples

EXAMPLES = 25
SLOW = {
    name: 8
    for name in TARGETS
    if name.startswith(
        ("file.read", "file.opened", "file.rep", "sqlite", "words", "url", "http", "adapter.", "redis")
    )
}


@pytest.mark.parametrize("name", TARGETS)
def test_reads_what_was_written_or_refuses(name: str) -> None:
    target = target_of(name)
    crash = examined(target, examples=SLOW.get(name, EXAMPLES), number=1)
    assert crash is None, crash.story
    assert target.promise.endswith(".")


@pytest.mark.parametrize("name", TARGETS)
def test_what_nothing_happened_to_is_read(name: str) -> None:
    crash = crash_of(target_of(name), b"")
    assert crash is None, crash.story


def test_every_kind_of_damage_is_made() -> None:
    chance = random.Random(1)
    before = samples()[0].tree[".holdfast/manifest"]
    for kind in KINDS:
        made = {kind(Dice(chance.randbytes(40)), before) for _ in range(20)}
        assert made - {before}, kind
        assert all(isinstance(kind(Dice(chance.randbytes(8)), b""), bytes) for _ in range(5)), kind


def test_damage_follows_from_its_input_and_has_a_size() -> None:
    chance = random.Random(2)
    inputs = [chance.randbytes(60) for _ in range(100)]
    once, twice = ([damaged(Dice(data), b"x" * 1000) for data in inputs] for _ in range(2))
    assert once == twice
    assert max(map(len, once)) <= LONGEST
    assert damaged(Dice(b""), b"whole") == b"whole"


def test_a_forger_changes_nothing_of_what_is_whole() -> None:
    for sample in samples():
        for path, data in sample.tree.items():
            if path.endswith(".log"):
                assert forged_journal(data, chained=True) == data == forged_journal(data, chained=False)
            elif path.endswith("manifest"):
                assert forged_manifest(data) == data
            elif path.endswith(".json"):
                assert b'"checksum"' in forged_envelope(data)
    assert VALUES
