"""The head parser against h11 and llhttp: the same verdict and values, or a difference that oracles.py lists."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.corpus import Case, load
from tests.fuzz.mutation import mutate, splice, words
from tests.servers.http1.oracles import (
    LAXER_THAN_LLHTTP,
    STRICTER,
    LooseHead,
    Opinion,
    Parsed,
    ask_h11,
    ask_llhttp,
    expected_environ,
    read_loosely,
)
from tests.servers.http1.verdicts import BASE_ENVIRON, Accepted, Refused, read_head

CASES = load()
SEEDS = [case.request for case in CASES if len(case.request) < 1000]


def assert_agreement(data: bytes) -> None:
    """Hold the parser's verdict on `data` against the oracles' opinions and the listed differences."""
    verdict = read_head(data)
    head = read_loosely(data)
    opinions = [ask_h11(data), ask_llhttp(data)]
    reasons = [reason for reason, applies in STRICTER.items() if applies(head)]
    if isinstance(verdict, Accepted):
        assert reasons == []
        assert_accepted_by_others(verdict, head, *opinions)
    elif any(isinstance(opinion, Parsed) for opinion in opinions):
        # What an oracle takes is refused, or waited for, on grounds that are listed.
        assert reasons, (verdict, opinions)


def assert_accepted_by_others(verdict: Accepted, head: LooseHead, h11: Opinion, llhttp: Opinion) -> None:
    assert isinstance(h11, Parsed), h11
    assert_same_values(verdict, h11, head)
    if isinstance(llhttp, Parsed):
        assert_same_values(verdict, llhttp, head)
    else:
        assert [reason for reason, applies in LAXER_THAN_LLHTTP.items() if applies(head)], llhttp


def assert_same_values(verdict: Accepted, parsed: Parsed, head: LooseHead) -> None:
    environ = dict(verdict.environ)
    assert environ.pop("SERVER_PROTOCOL") == f"HTTP/1.{verdict.minor}"
    assert {key: value for key, value in environ.items() if key not in BASE_ENVIRON} == expected_environ(parsed, head)
    assert verdict.size == len(head.blank) + len(head.text) + 4
    assert verdict.minor == min(head.version[1], 1)
    assert verdict.chunked == bool(head.values(b"transfer-encoding"))
    assert verdict.content_length == int((head.values(b"content-length") or [b"-1"])[0])
    options = {option.strip(b" \t").lower() for value in head.values(b"connection") for option in value.split(b",")}
    assert verdict.keep_alive == (b"close" not in options and (verdict.minor == 1 or b"keep-alive" in options))
    assert verdict.expect_continue == (verdict.minor == 1 and bool(head.values(b"expect")))


# Heads by grammar: each part is mostly well-formed, so that most heads have one flaw, or none.


def mostly(good: st.SearchStrategy[bytes], bad: str) -> st.SearchStrategy[bytes]:
    """Draw from `good` five times in six, else nothing or one of the words of `bad`, in the corpus' notation."""
    return st.one_of(good, good, good, good, good, st.sampled_from([b"", *words(bad)]))


def one_of(text: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from(words(text))


def text_of(alphabet: str, least: int = 0) -> st.SearchStrategy[bytes]:
    return st.text(alphabet, min_size=least, max_size=12).map(str.encode)


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def listed(element: st.SearchStrategy[bytes], separator: bytes = b"") -> st.SearchStrategy[bytes]:
    return st.lists(element).map(separator.join)


tokens = text_of("!#$%&'*+-.^_`|~09azAZ", 1)
methods = mostly(one_of("GET POST OPTIONS HEAD") | tokens, r"G(T CONNECT get G\xc9T")
paths = listed(text_of("abZ09-._~!$&'()*+,;=:@/\"<>^`{|}") | one_of("%41 %2f %ff %25"))
queries = st.just(b"") | joined(st.just(b"?"), text_of('a%?/=&#"'))
hosts = mostly(
    one_of("a a.example:80 [::1] [::1]:8080 127.0.0.1 a_b~c a: a%41"),
    r"a\x20b a:b a:65536 u@a a/b [::1 a,b \xe9 a:80:80 [] a%4",
)
origin_forms = joined(st.just(b"/"), paths, queries)
absolute_forms = joined(one_of("http:// HTTPS://"), hosts, st.just(b"") | origin_forms)
targets = mostly(origin_forms | absolute_forms, r"* a /\x20b /% /%0 /%00 ftp://a/ /\xe9 /\x01")
versions = mostly(one_of("HTTP/1.1 HTTP/1.0"), r"HTTP/1.2 HTTP/2.0 http/1.1 HTTP/1.1\x20 HTTP/1")
spaces = mostly(st.just(b" "), r"\x20\x20 \t")
line_ends = mostly(st.just(b"\r\n"), r"\n \r \r\r\n")
lengths = mostly(st.integers(0, 10**19).map(lambda number: b"%d" % number), r"+1 1,1 0x1 1\x201 -1 \xb2")
codings = mostly(one_of("chunked Chunked"), "gzip gzip,chunked chunked,chunked chunked,")
options = listed(one_of(r"close Close keep-alive upgrade te \x20close\t") | st.just(b""), b",")
names = mostly(tokens | one_of("Cookie Accept X-A Content-Type"), r"X\x20A X( X\0 \xc4")
values = listed(text_of('aZ09!"(),/:;<=>?@[\\]{} \t') | mostly(st.just(b"\xff"), r"\0 \x7f \x0b \r \n"))
colons = mostly(one_of(r": :\x20 :\t\x20 :\x20\x20"), r"\x20: \r\n\x20:")
fields = st.one_of(
    joined(names, colons, values),
    joined(names, colons, values),
    joined(one_of("Content-Length content-length"), colons, lengths),
    joined(one_of("Transfer-Encoding TRANSFER-ENCODING"), colons, codings),
    joined(st.just(b"Connection"), colons, options),
    joined(st.just(b"Expect"), colons, mostly(st.just(b"100-Continue"), "a 100-continue,a")),
    joined(st.just(b"Host"), colons, hosts),
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    line = [draw(methods), draw(spaces), draw(targets), draw(spaces), draw(versions)]
    section = draw(st.lists(fields, max_size=5))
    section.insert(draw(st.integers(0, len(section))), b"Host: " + draw(hosts))
    lines = [b"".join(line), *section, b""]
    blank = draw(mostly(st.just(b""), r"\r\n \r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n \n \x20"))
    return blank + b"".join(each + draw(line_ends) for each in lines)


mutated_seeds = st.builds(mutate, st.sampled_from(SEEDS), st.randoms(use_true_random=False))
spliced_seeds = st.randoms(use_true_random=False).map(lambda random: mutate(splice(SEEDS, random), random, 2))

thorough = settings(max_examples=1000, deadline=None, derandomize=True)


@given(heads())
@example(b"GET / HTTP/1.0\r\n\r\n")
@thorough
def test_heads_by_grammar(data: bytes) -> None:
    assert_agreement(data)


@given(mutated_seeds)
@thorough
def test_mutated_corpus(data: bytes) -> None:
    assert_agreement(data)


@given(spliced_seeds)
@thorough
def test_spliced_corpus(data: bytes) -> None:
    assert_agreement(data)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_corpus(case: Case) -> None:
    assert_agreement(case.request)


@pytest.mark.parametrize("reason", STRICTER)
def test_every_stricter_rule_is_needed(reason: str) -> None:
    """Some case of the corpus is refused under this rule while an oracle takes it."""
    refused = [case.request for case in CASES if isinstance(read_head(case.request), Refused)]
    under_the_rule = [data for data in refused if STRICTER[reason](read_loosely(data))]
    assert any(isinstance(ask(data), Parsed) for data in under_the_rule for ask in (ask_h11, ask_llhttp))


@pytest.mark.parametrize("reason", LAXER_THAN_LLHTTP)
def test_every_laxer_rule_is_needed(reason: str) -> None:
    """Some case of the corpus is accepted under this rule while llhttp refuses it."""
    accepted = [case.request for case in CASES if isinstance(read_head(case.request), Accepted)]
    under_the_rule = [data for data in accepted if LAXER_THAN_LLHTTP[reason](read_loosely(data))]
    assert any(not isinstance(ask_llhttp(data), Parsed) for data in under_the_rule)


def test_mutations_reach_both_verdicts() -> None:
    random = Random(1)
    verdicts = [read_head(mutate(random.choice(SEEDS), random)) for _ in range(2000)]
    assert sum(isinstance(verdict, Accepted) for verdict in verdicts) > 100
    assert sum(isinstance(verdict, Refused) for verdict in verdicts) > 500
