"""Who may give feedback on an answer, over HTTP and below it; records hold neither a key nor the hash of one."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.errors import ConfigError, DataError
from components.params import FeedbackParams
from components.records import Feedback, Trace
from components.serving import REVIEWER, Journal, Keys, Outlet, Owners, new_key, salt
from components.serving.owners import Sender
from components.serving.protocol import RequestError
from monitoring.lake import Lake

KEYS = {name: new_key() for name in ("asker", "other", "reviewer")}
HASHES = {name: its_hash for name, (_, its_hash) in KEYS.items()}
KNOWN = Keys.read({"GRADUS_API_KEYS": f"{HASHES['asker']},{HASHES['other']},{HASHES['reviewer']} {REVIEWER} Ann"})
SALT = b"a secret salt"


def test_the_only_role_of_a_key_is_reviewer(tmp_path: Path) -> None:
    assert KNOWN.reviewers == {HASHES["reviewer"]}
    (tmp_path / "keys").write_text(f"{HASHES['asker']} reviewer\n{HASHES['reviewer']} Ann {REVIEWER}\n")
    assert Keys.read({"GRADUS_API_KEYS_FILE": str(tmp_path / "keys")}).reviewers == {HASHES["reviewer"]}
    with pytest.raises(ConfigError, match="expected no role but role=reviewer, found role=root"):
        Keys.read({"GRADUS_API_KEYS": f"{HASHES['asker']} role=root"})


def test_the_salt_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "serving" / "salt"
    before = os.umask(0)
    try:
        first = salt(path)
    finally:
        os.umask(before)
    assert salt(path) == first
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert salt(path.with_name("another")) != first  # beside it: the folder was there


@pytest.mark.parametrize("content", [b"", b"ab" * 31, b"ab" * 33, b"no" * 32, b"\xff" * 64])
def test_an_invalid_salt_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "salt").write_bytes(content)
    with pytest.raises(DataError, match="expected 32 bytes in hexadecimal digits"):
        salt(tmp_path / "salt")
    assert (tmp_path / "salt").read_bytes() == content


def test_servers_that_are_given_one_salt_know_callers_and_customers_by_the_same_names(tmp_path: Path) -> None:
    given = tmp_path / "mounted"
    given.write_text("0f" * 32 + "\n", encoding="ascii")  # as a Secret that a person made may have it

    def names(folder: str, environment: dict[str, str]) -> tuple[str, str]:
        owners = Owners(KNOWN, salt(tmp_path / folder / "salt", environment))
        return owners.sender(HASHES["asker"]).name, owners.customer(HASHES["asker"], "Ann")

    variable = {"GRADUS_SALT_FILE": str(given)}
    assert names("first", variable) == names("second", variable)
    assert list(tmp_path.iterdir()) == [given]
    assert not {*names("first", {})} & {*names("second", {})}


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (None, ConfigError, r"GRADUS_SALT_FILE: expected a file with a salt, found none \('.*mounted'\)"),
        ("0f" * 31, DataError, "expected 32 bytes in hexadecimal digits"),
    ],
)
def test_a_named_salt_that_is_missing_or_cut_is_never_made_up_for(
    tmp_path: Path, content: str | None, kind: type[Exception], expected: str
) -> None:
    given, own = tmp_path / "mounted", tmp_path / "state" / "salt"
    if content is not None:
        given.write_text(content, encoding="ascii")
    with pytest.raises(kind, match=expected):
        salt(own, {"GRADUS_SALT_FILE": str(given)})
    assert not own.exists() and given.exists() is (content is not None)
    with pytest.raises(ConfigError, match=r"expected a file with a salt, found none \(''\)"):
        salt(own, {"GRADUS_SALT_FILE": ""})


def test_a_callers_name_reveals_neither_its_key_nor_the_keys_hash() -> None:
    owners, elsewhere = Owners(KNOWN, SALT), Owners(KNOWN, b"another salt")
    name = owners.sender(HASHES["asker"]).name
    assert name == Owners(KNOWN, SALT).sender(HASHES["asker"]).name != elsewhere.sender(HASHES["asker"]).name
    assert name not in HASHES["asker"]
    assert len(name) == len(owners.customer(HASHES["asker"], "Ann")) == 32
    assert name != hashlib.sha256(HASHES["asker"].encode()).hexdigest()[:32]
    assert owners.sender(HASHES["reviewer"]).reviewer
    assert owners.sender("127.0.0.1") == Owners().sender(HASHES["reviewer"]) == Sender()


def test_a_named_customer_is_the_same_one_from_every_address_and_another_one_by_another_key() -> None:
    anonymous, keyed = Owners(salted=SALT), Owners(KNOWN, SALT)
    assert anonymous.customer("10.0.1.1", "Ann") == anonymous.customer("10.0.2.1", "Ann")
    assert len({anonymous.customer("10.0.1.1", name) for name in ("Ann", "Bob", None, "")}) == 3
    assert anonymous.customer("10.0.1.1", None) != anonymous.customer("10.0.2.1", None)
    assert keyed.customer(HASHES["asker"], "Ann") != keyed.customer(HASHES["other"], "Ann")


def test_who_asked_is_known_by_the_request_and_so_is_the_customer() -> None:
    owners = Owners(KNOWN, SALT)
    owners.asked("x", HASHES["asker"], "a customer")
    assert (owners.asker("x"), owners.asked_for("x")) == (owners.sender(HASHES["asker"]).name, "a customer")
    assert (owners.asker("unknown"), owners.asked_for("unknown")) == ("", "")


@pytest.mark.parametrize(("asker", "other"), [("asker", "other"), ("other", "asker")])
def test_only_the_asker_and_reviewers_may_give_feedback_on_an_answer(asker: str, other: str) -> None:
    owners = Owners(KNOWN, SALT)
    owners.asked("x", HASHES[asker])
    for trace_id in ("x", "x-1"):
        assert owners.speaks(trace_id, HASHES[asker]) == owners.sender(HASHES[asker])
        assert owners.speaks(trace_id, HASHES["reviewer"]).reviewer
        with pytest.raises(RequestError, match="expected the key that asked") as raised:
            owners.speaks(trace_id, HASHES[other])
        assert (raised.value.status, raised.value.code) == (403, "not_yours")
    assert owners.speaks("unknown", HASHES[other])  # is compared when it is used


def test_of_fifty_thousand_requests_the_oldest_is_forgotten() -> None:
    owners = Owners()
    for number in range(50_000):
        owners.asked(str(number), "anybody", "Ann")
    assert owners.asked_for("0") == "Ann"
    owners.asked("one more", "anybody", "Ann")
    assert [owners.asked_for(name) for name in ("0", "1", "one more")] == ["", "Ann", "Ann"]


MIDNIGHT = 1_800_057_600.0  # 2027-01-16 in UTC


def test_one_sender_has_a_cap_a_day_and_reviewers_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Owners(KNOWN, SALT, FeedbackParams(most_per_day=2))
    moments = iter([MIDNIGHT, MIDNIGHT + 40_000, MIDNIGHT + 86_399, MIDNIGHT + 86_399, MIDNIGHT + 86_400])
    monkeypatch.setattr("time.time", lambda: next(moments))
    for _ in range(2):
        owners.speaks("x", HASHES["asker"])
    with pytest.raises(RequestError, match="at most 2 feedbacks of one sender a day") as raised:
        owners.speaks("x", HASHES["asker"])
    assert (raised.value.status, raised.value.code) == (429, "enough_said")
    for _ in range(5):
        owners.speaks("x", HASHES["reviewer"])
    owners.speaks("x", HASHES["other"])
    owners.speaks("x", HASHES["asker"])  # a second later, which is tomorrow


def test_a_clock_that_is_set_back_silences_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Owners(KNOWN, SALT, FeedbackParams(most_per_day=1))
    for moment in (MIDNIGHT + 86_400 * 365, MIDNIGHT):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        owners.speaks("x", HASHES["asker"])
        with pytest.raises(RequestError, match="at most 1 feedback"):
            owners.speaks("x", HASHES["asker"])


def test_of_ten_thousand_senders_a_day_the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys every address is a sender: what is counted of them takes no more memory, however many there are."""
    monkeypatch.setattr("time.time", lambda: 10.0)
    owners = Owners(params=FeedbackParams(most_per_day=1))
    for caller in ("silent", "speaks"):
        owners.speaks("x", caller)
    with pytest.raises(RequestError, match="at most 1 feedbacks"):
        owners.speaks("x", "speaks")
    for number in range(9_999):  # one more than there is room for
        owners.speaks("x", str(number))
    with pytest.raises(RequestError, match="at most 1 feedbacks"):
        owners.speaks("x", "speaks")
    owners.speaks("x", "silent")
    assert len(owners._said) == 10_000


def test_over_http_only_the_asker_and_reviewers_may_correct_an_answer(
    tmp_path: Path, run_server: Callable[..., Any]
) -> None:
    lake = Lake(tmp_path / "lake")
    journal = Journal(
        "triage", {"type": "object"}, Outlet(tmp_path / "spool", lake.store, 60), owners=Owners(KNOWN, SALT)
    )
    with run_server(journal=journal, keys=KNOWN) as address:

        def post(name: str, path: str, body: dict[str, Any]) -> httpx.Response:
            headers = {"authorization": f"Bearer {KEYS[name][0]}"}
            return httpx.post(f"{address}/v1/{path}", json=body, headers=headers)

        turns = [{"role": "user", "content": "Hi"}]
        for stream in (False, True):
            asked = {"model": "triage", "messages": turns, "max_tokens": 2, "n": 2, "stream": stream}
            answer = post("asker", "chat/completions", asked)
            name = answer.json()["id"] if not stream else answer.text.partition('"id": "')[2].partition('"')[0]
            for trace_id in (name, f"{name}-1"):
                statuses = [
                    post(who, "feedback", {"id": trace_id, "corrected": "{}"}).status_code
                    for who in ("asker", "other", "reviewer")
                ]
                assert statuses == [200, 403, 200]
    owners = Owners(KNOWN, SALT)
    asker, reviewer = (owners.sender(HASHES[who]).name for who in ("asker", "reviewer"))
    assert [trace.caller for trace in lake.read(Trace, "triage")] == [asker] * 4
    senders = [(correction.sender, correction.reviewer) for correction in lake.read(Feedback, "triage")]
    assert senders == [(asker, False), (reviewer, True)] * 4


def test_without_keys_everybody_is_anonymous(tmp_path: Path, run_server: Callable[..., Any]) -> None:
    lake = Lake(tmp_path / "lake")
    journal = Journal("triage", {"type": "object"}, Outlet(tmp_path / "spool", lake.store, 60), owners=Owners())
    with run_server(journal=journal) as address:
        asked = {"model": "triage", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        name = httpx.post(f"{address}/v1/chat/completions", json=asked).json()["id"]
        assert httpx.post(f"{address}/v1/feedback", json={"id": name, "corrected": "{}"}).status_code == 200
    assert [trace.caller for trace in lake.read(Trace, "triage")] == [""]
    assert [(correction.sender, correction.reviewer) for correction in lake.read(Feedback, "triage")] == [("", False)]
