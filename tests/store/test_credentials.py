"""No password is ever shown: not in a URL's text, a repr, an error; and where secrets come from."""

import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from rich.pretty import pretty_repr

from holdfast.errors import HoldfastError, InvalidOption
from holdfast.store import credentials, open_store
from holdfast.store.redaction import is_secret, shown
from holdfast.store.url import parse

SECRET = "hunter2"
ODD = ["{}", "@{}", "{}@", "{}:x", ":{}", "/{}", "{}/x", "?{}", "{}?x", "#{}", "{}#x", "[{}", "{}]x", "{}%zz", "%40{}",
       "a@b/{}?c#d", "12/{}", "12?{}", "12#{}", "12?a={}", "{}&x=1", "a={}&b=", " {} ", "{}\n", "\u2100{}", "a,{}",
       "{},redis:", "//{}", "x@y:1/{}", "é{}"]  # fmt: skip
SHAPES = ["redis://me:{}@host:6379/0", "redis://:{}@host", "rediss://me:{}@[::1]:6379/0?db=1",
          "postgresql://me:{}@a:1,b:2/bot?cache=9", "postgresql://a@me:{}@host/bot", "mongodb://me:{}@host/?w=1",
          "unheardof://me:{}@host", "my_redis://me:{}@host", "r://me:{}@host", "redis:me:{}@host", "://me:{}@host",
          "memory:?replica=redis://me:{}@host", "redis://host?replica=redis://me:{}@other&replica_2=redis://x",
          "memory:?password={}", "redis://host?cache=1&Password={}", "redis://host?secret_token={}",
          "redis://host?encrypt_key={}", "redis://host/0?tlsCertificateKeyFilePassword={}"]  # fmt: skip


def everything_said(text: str) -> str:
    """Return all that anybody could print of a URL, or of its refusal."""
    said = [shown(text)]
    try:
        parsed = parse(text)
        said += [parsed.text, repr(parsed), str(parsed), pretty_repr(parsed)]
        store = open_store(text)
        said += [store.url, repr(store), repr(store.persist)]
        parsed.only("none")
    except HoldfastError as error:
        said += told_by(error)
    return "\n".join(said)


def told_by(error: BaseException | None) -> list[str]:
    """Return what a traceback shows of an error and of those behind it, and its facts."""
    if error is None:
        return []
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [str(error), repr(error), repr(getattr(error, "facts", "")), *told_by(behind)]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_password_is_shown(shape: str) -> None:
    leaks = []
    for odd in ODD:
        password = odd.format(SECRET)
        plain, encoded = shape.format(password), shape.format(quote(password, safe=""))
        urls = (plain, encoded, *(f"memory:?replica={quote(one, safe='')}" for one in (plain, encoded)))
        leaks += [url for url in urls if SECRET in everything_said(url)]
    assert leaks == []


def test_no_password_is_shown_control() -> None:
    """What the tests above would say of a URL that is passed on as it is."""
    url = f"redis://me:{SECRET}@host"
    assert SECRET in everything_said(f"memory:?namespace={quote(url, safe='')}")


@pytest.mark.parametrize("odd", ODD)
def test_an_encoded_password_is_read_back(odd: str) -> None:
    password = odd.format(SECRET)
    parsed = parse(f"redis://{quote(password, safe='')}:{quote(password, safe='')}@[::1]:6379/0?x=1")
    assert (parsed.username, parsed.password) == (password, password)
    assert (parsed.host, parsed.port, parsed.options) == ("::1", 6379, {"x": "1"})


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://me:pw@host:6379/0", "redis://me:***@host:6379/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("redis://me@host", "redis://me@host"),
        ("redis://host:6379/0?namespace=me@home", "redis://host:6379/0?namespace=me@home"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://me:pw@[::1]:6379,[fe80::1%25eth0]/0", "redis://me:***@[::1]:6379,[fe80::1%25eth0]/0"),
        ("postgresql://me:p@w@a:1,b:2/x?schema=s", "postgresql://me:***@a:1,b:2/x?schema=s"),
        ("file:./a@b:c@d?mode=ro", "file:./a@b:c@d?mode=ro"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        (
            "redis://h?password_env=NAME&encrypt_key_file=/x",
            "redis://h?password_env=NAME&encrypt_key_file=/x",
        ),
        # A replica's password with an & that is not encoded: what is behind it stands where an option's name does.
        ("file:./x?replica=redis%3A%2F%2Fu%3Aabc&def%40h", "file:***"),
        ("redis://me:pa/ss@host", "redis://me:***@host"),
        ("redis://h?replica=redis%3A%2F%2Fu%3Apw%40h", "redis://h?replica=redis%3A%2F%2Fu%3A%2A%2A%2A%40h"),
        ("redis://h:1?password=pw&x=1", "redis://h:1?password=***&x=1"),
        ("", ""),
    ],
)
def test_what_is_shown(url: str, text: str) -> None:
    assert shown(url) == text
    assert shown(shown(url)) == shown(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://me:pa/ss@host", "percent-encode"),
        ("redis://me:12/ss@host/0", "percent-encode"),
        ("redis://me:pa?ss@host", "percent-encode"),
        ("redis://me:pa#ss@host", "percent-encode"),
        ("redis://me:p[a@host", "percent-encode"),
        ("redis://host:port", "port"),
        ("redis://host:99999", "port"),
        ("redis:me:pw@host", "percent-encode"),
        ("redis://host?password=pw", "password_env"),
        ("redis://host?Token=pw", "password_env"),
        ("redis://host?encrypt_key=pw", "would be a secret"),
        ("redis://ho\tst", "control character"),
        ("redis://host?a=%ff", "UTF-8"),
    ],
)
def test_refused_with_advice(url: str, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        parse(url)


@pytest.mark.parametrize(
    "name", ["password_env", "password_file", "schema", "tlsCertificateKeyFile", "sslkey", "wait_aof"]
)
def test_options_that_hold_no_secret(name: str) -> None:
    assert not is_secret(name)


# ------------------------------------------------------------ hosts


@pytest.mark.parametrize(
    ("place", "hosts"),
    [
        ("a", [("a", None)]),
        ("a:1", [("a", 1)]),
        ("a:1,b,c:3", [("a", 1), ("b", None), ("c", 3)]),
        ("[::1]", [("::1", None)]),
        ("[::1]:1,10.0.0.1:2,[2001:db8::2]", [("::1", 1), ("10.0.0.1", 2), ("2001:db8::2", None)]),
        ("A.Example", [("a.example", None)]),
        ("", []),
    ],
)
@pytest.mark.parametrize("who", ["", "me@", "me:p%40w@", ":x@"])
def test_hosts(place: str, hosts: list[tuple[str, int | None]], who: str) -> None:
    parsed = parse(f"redis://{who}{place}/0")
    assert list(parsed.hosts) == hosts
    assert (parsed.host, parsed.port) == (hosts[0] if hosts else (None, None))
    assert parsed.password == {"me:p%40w@": "p@w", ":x@": "x"}.get(who)


# ------------------------------------------------------------ secrets that a URL points at


def test_password_from_the_environment_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    url = parse("redis://me@host?password_env=HOLDFAST_TEST_PASSWORD")
    for value in ("one", " two ", "é@:/"):
        monkeypatch.setenv("HOLDFAST_TEST_PASSWORD", value)
        assert credentials.password(url) == value
    monkeypatch.setenv("HOLDFAST_TEST_PASSWORD", "")
    with pytest.raises(InvalidOption, match="HOLDFAST_TEST_PASSWORD"):
        credentials.password(url)
    monkeypatch.delenv("HOLDFAST_TEST_PASSWORD")
    with pytest.raises(InvalidOption, match="HOLDFAST_TEST_PASSWORD"):
        credentials.password(url)


def test_password_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    url = parse(f"redis://me@host?password_file={path}")
    for stored, password in (("one", "one"), (" two \n", " two "), ("three\r\n", "three")):
        path.write_bytes(stored.encode())
        assert credentials.password(url) == password
    for bad in (b"", b"\n", b"hunter2\xff"):
        path.write_bytes(bad)
        with pytest.raises(InvalidOption, match="pw") as refused:
            credentials.password(url)
        assert SECRET not in "".join(traceback.format_exception(refused.value))
    path.unlink()
    with pytest.raises(InvalidOption, match="cannot be read"):
        credentials.password(url)


def test_one_password_and_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_PASSWORD", SECRET)
    for url in (
        "redis://me:pw@host?password_env=HOLDFAST_TEST_PASSWORD",
        "redis://host?password_env=HOLDFAST_TEST_PASSWORD&password_file=/x",
    ):
        with pytest.raises(InvalidOption) as refused:
            credentials.password(parse(url))
        assert SECRET not in str(refused.value)
        assert "pw@" not in str(refused.value)
    assert credentials.password(parse("redis://me:p%40w@host")) == "p@w"
    assert credentials.password(parse("redis://me@host")) is None
