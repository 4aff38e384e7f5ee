"""Keys: found by their hash, allowed by patterns, limited by their rate."""

from __future__ import annotations

import pytest

from quorate.config.server_settings import ApiKey, RequestRate, hash_key, make_key
from quorate.orchestrator.errors import BadInput
from quorate.server.access.errors import RateExceeded
from quorate.server.access.keys import ANYONE, KeyRates, KeyRing


def test_a_key_is_found_by_what_it_hashes_to() -> None:
    """Whatever the scheme's spelling; not by its hash, its name or a part of it."""
    secret = make_key()
    ann = ApiKey(name="ann", hash=hash_key(secret))
    keys = KeyRing([ann, ApiKey(name="bob", hash=hash_key("bob's"))])
    assert keys.find(f"Bearer {secret}") == keys.find(f"bearer  {secret} ") == ann
    for wrong in ("", secret, f"Basic {secret}", f"Bearer {ann.hash}", "Bearer ann", f"Bearer {secret[:-1]}", "Bearer"):
        assert keys.find(wrong) is None


def test_without_keys_anyone_may_ask() -> None:
    """As on a laptop."""
    assert KeyRing([]).find("") is ANYONE
    assert not KeyRing([])


def test_keys_do_not_collide() -> None:
    """Two of one name or one hash are a mistake of the configuration."""
    with pytest.raises(BadInput, match="'ann'"):
        KeyRing([ApiKey(name="ann", hash=hash_key("1")), ApiKey(name="ann", hash=hash_key("2"))])
    with pytest.raises(BadInput, match="hash"):
        KeyRing([ApiKey(name="ann", hash=hash_key("1")), ApiKey(name="bob", hash=hash_key("1"))])


@pytest.mark.parametrize("value", ["secret", "sha256:abc", "", "md5:" + "0" * 64])
def test_a_key_in_plain_text_is_no_hash(value: str) -> None:
    """A configuration that holds the key itself is refused."""
    with pytest.raises(BadInput, match=r"ApiKey\(hash\): should match pattern") as refused:
        ApiKey(name="ann", hash=value)
    assert "secret" not in str(refused.value)


def test_patterns_say_what_a_key_may_ask_for() -> None:
    """`*` is any text up to a slash, `**` any at all, everything else is itself."""
    key = ApiKey(name="ann", hash=hash_key("1"), allow=("majority@*/small", "team"))
    assert [key.allows(n) for n in ("majority@4/small", "team")] == [True, True]
    assert not any(
        key.allows(n)
        for n in ("small", "majority@4/self-moa@6/small", "majority@4/large", "majority@4/small+large", "teams", "Team")
    )


def test_two_stars_are_anything() -> None:
    """Every name, or every pipeline over one model, however deep."""
    assert ApiKey(name="ann", hash=hash_key("1")).allows("majority@4/self-moa@6/Qwen/Qwen3-8B")
    deep = ApiKey(name="ann", hash=hash_key("1"), allow=("**/Qwen/*",))
    assert [deep.allows(n) for n in ("majority@4/self-moa@6/Qwen/Qwen3-8B", "Qwen/Qwen3-8B")] == [True, False]


def test_a_rate_refuses_the_one_too_many() -> None:
    """With the time until the next; other keys are not concerned."""
    ann = ApiKey(name="ann", hash=hash_key("1"), rate=RequestRate(requests=3, seconds=60))
    bob = ApiKey(name="bob", hash=hash_key("2"))
    rates = KeyRates([ann, bob])
    for _ in range(3):
        rates.count(ann)
    with pytest.raises(RateExceeded, match="3 requests in 60 s") as refused:
        rates.count(ann)
    assert refused.value.status == 429
    assert 19 < (refused.value.retry_after or 0) <= 20
    for _ in range(10):
        rates.count(bob)
