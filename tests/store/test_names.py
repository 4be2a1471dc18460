"""File names: readable where possible, harmless always, and never two names in one file."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.store.backends.file.names import Namer, decoded, hashed, plain, stable

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=128)


def test_plain_names_stay() -> None:
    for name in ("BTCUSDT", "btc-usdt_1", "signal.my-strategy", "1", "a=b+c@d,e"):
        assert plain(name) == name


def test_what_is_not_plain() -> None:
    assert plain("BTC/USDT:USDT") == "BTC%2FUSDT%3AUSDT"
    assert plain("..") == "%2E%2E"
    assert plain("...") == "%2E.%2E"
    assert plain("CON") == "%43ON"
    assert plain("com1.x") == "%63om1.x"
    assert plain("a ") == "a%20"
    assert plain("é") == "%C3%A9" != plain("e\u0301")


@given(NAMES)
def test_reversible_and_harmless(name: str) -> None:
    for file_name in (plain(name), hashed(name), stable(name)):
        assert 0 < len(file_name) <= 250
        assert file_name.isascii()
        assert not set(file_name) & set('/\\\0:*?"<>| ')
        assert file_name[0] != "."
        assert file_name[-1] != "."
    assert decoded(plain(name)) in (name, None)


@given(
    st.lists(
        NAMES | st.sampled_from(["a", "A", "aa", "AA", "aA", "é", "É", "x" * 300, "X" * 300]), unique=True
    )
)
def test_no_two_meet_where_case_is_folded(names: list[str]) -> None:
    namer = Namer()
    given = {name: namer.get(name) for name in names}
    assert len({file_name.lower() for file_name in given.values()}) == len(names)
    assert len({stable(name).lower() for name in names}) == len(names)
    found = Namer()
    assert all(found.claim(name, file_name) for name, file_name in given.items())
    assert {name: found.get(name) for name in names} == given


def test_a_freed_name_can_be_given_again() -> None:
    namer = Namer()
    assert (namer.get("BTC"), namer.get("btc")) == ("BTC", hashed("btc"))
    namer.free("BTC")
    assert namer.get("Btc") == "Btc"
    assert namer.get("btc") == hashed("btc")
    assert not namer.claim("btc", "btc")
    assert not namer.claim("other", "btc")
