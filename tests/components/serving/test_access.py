from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ConfigError
from components.params import ServingParams
from components.serving.access import Keys, Limit, key_hash, new_key


def test_a_new_key_is_accepted_by_its_hash_and_no_other_is() -> None:
    key, its_hash = new_key()
    keys = Keys((key_hash("another"), its_hash))
    assert keys.caller(f"Bearer {key}") == its_hash
    assert [keys.caller(header) for header in (None, "", key, f"Basic {key}", f"Bearer {key}x", "Bearer ")] == [
        None
    ] * 6


def test_hashes_are_read_from_the_environment_and_a_file_with_names(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# who may ask\n{key_hash('b')} billing\n\n{key_hash('c').upper()}\n")
    environment = {"GRADUS_API_KEYS": f" {key_hash('a')},", "GRADUS_API_KEYS_FILE": str(tmp_path / "keys")}
    assert Keys.read(environment).hashes == (key_hash("a"), key_hash("b"), key_hash("c"))
    assert Keys.read({}).hashes == ()


@pytest.mark.parametrize("content", ["", "\n\n", "# no key yet\n"])
def test_a_place_for_hashes_that_holds_none_is_refused_for_it_would_admit_everybody(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(content)
    named = {"GRADUS_API_KEYS_FILE": str(tmp_path / "keys")}
    for environment in (named, {**named, "GRADUS_API_KEYS": key_hash("a")}):
        with pytest.raises(ConfigError, match=r"expected SHA-256 hashes of keys, found none \(GRADUS_API_KEYS_FILE: "):
            Keys.read(environment)
    for listed in (content, f" {content} ,"):
        with pytest.raises(ConfigError, match=r"found none \(GRADUS_API_KEYS\)"):
            Keys.read({"GRADUS_API_KEYS": listed})
    with pytest.raises(ConfigError, match=r"^GRADUS_API_KEYS_FILE: expected a file of key hashes, found none at \."):
        Keys.read({"GRADUS_API_KEYS_FILE": ""})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"GRADUS_API_KEYS": "gradus-secret"}, "expected SHA-256 hashes of keys, found something else"),
        *(({"GRADUS_API_KEYS": digits}, "expected SHA-256 hashes") for digits in ("a" * 63, "a" * 65, "g" * 64)),
        ({"GRADUS_API_KEYS_FILE": "nowhere"}, "expected a file of key hashes, found none at nowhere"),
    ],
)
def test_a_value_that_is_not_a_hash_is_refused_and_never_repeated(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        Keys.read(environment)
    assert "gradus-secret" not in str(raised.value)


def test_a_minutes_worth_of_requests_is_there_at_once_and_comes_back_evenly() -> None:
    limit = Limit(3)
    assert [limit.wait_s("a", 0.0) for _ in range(4)] == [0, 0, 0, 20]
    assert limit.wait_s("b", 0.0) == 0  # callers do not share
    assert limit.wait_s("a", 10.0) == pytest.approx(10)
    assert limit.wait_s("a", 20.0) == 0
    assert Limit(None).wait_s("a") == 0


def test_the_seconds_that_a_caller_is_told_to_wait_are_neither_too_many_nor_too_few() -> None:
    limit = Limit(7)
    assert [limit.wait_s("a", 0.0) for _ in range(7)] == [0.0] * 7
    wait_s = limit.wait_s("a", 0.0)
    assert wait_s == pytest.approx(60 / 7)
    assert limit.wait_s("a", wait_s - 0.1) == pytest.approx(0.1)
    assert limit.wait_s("a", wait_s + 0.1) == 0


def test_less_than_one_request_a_minute_is_one_every_few_minutes() -> None:
    limit = Limit(0.5)
    assert [limit.wait_s("a", now) for now in (0.0, 0.0, 60.0, 120.0, 120.0)] == [0, 120, 60, 0, 120]


def test_without_a_given_time_the_machines_clock_counts() -> None:
    limit = Limit(1)
    assert limit.wait_s("a") == 0
    assert 0 < limit.wait_s("a") <= 60


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 20))
def test_no_minute_has_more_than_twice_the_limit(gaps: list[float], per_minute: int) -> None:
    limit, now, taken = Limit(per_minute), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if not limit.wait_s("a", now):
            taken.append(now)
    assert all(sum(start <= at < start + 60 for at in taken) <= 2 * per_minute for start in taken)


def test_a_file_of_keys_that_is_no_text_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(f"{key_hash('a')} caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"expected key hashes in UTF-8, found .*keys"):
        Keys.read({"GRADUS_API_KEYS_FILE": str(tmp_path / "keys")})


def test_of_ten_thousand_callers_the_longest_silent_is_forgotten() -> None:
    limit = Limit(2)
    for caller in ("silent", "speaks", "silent", "speaks"):  # both have used up their minute
        assert limit.wait_s(caller, 0.0) == 0
    for number in range(9_998):
        limit.wait_s(str(number), 0.0)
    assert limit.wait_s("speaks", 0.0) == 30
    assert limit.wait_s("one more", 0.0) == 0  # the 10,001st
    assert limit.wait_s("speaks", 0.0) == 30
    assert limit.wait_s("silent", 0.0) == 0  # it is nobody the server has seen
    assert len(limit._left) == 10_000


def test_callers_have_a_limit_where_the_settings_name_none() -> None:
    limit = Limit(ServingParams().requests_per_minute)
    assert [limit.wait_s("eve", 0.0) > 0 for _ in range(6_001)] == [False] * 6_000 + [True]
