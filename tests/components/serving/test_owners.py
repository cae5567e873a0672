"""Who may speak of an answer, over HTTP and below it; what stands on records is no key, and no hash of one."""

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


def test_a_role_stands_behind_a_hash_and_none_but_the_reviewers_is_known(tmp_path: Path) -> None:
    assert KNOWN.reviewers == {HASHES["reviewer"]}
    (tmp_path / "keys").write_text(f"{HASHES['asker']} reviewer\n{HASHES['reviewer']} Ann {REVIEWER}\n")
    assert Keys.read({"GRADUS_API_KEYS_FILE": str(tmp_path / "keys")}).reviewers == {HASHES["reviewer"]}
    with pytest.raises(ConfigError, match="expected no role but role=reviewer, found role=root"):
        Keys.read({"GRADUS_API_KEYS": f"{HASHES['asker']} role=root"})


def test_the_salt_is_made_once_by_whoever_comes_first_and_is_its_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = salt(tmp_path / "serving" / "salt")
    finally:
        os.umask(before)
    assert salt(tmp_path / "serving" / "salt") == first
    assert len(first) == 32
    assert (tmp_path / "serving" / "salt").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "serving").iterdir()] == ["salt"]
    (tmp_path / "serving" / "salt").write_text("")
    with pytest.raises(DataError, match="expected 32 bytes in hexadecimal digits"):
        salt(tmp_path / "serving" / "salt")


def test_the_name_of_a_caller_tells_neither_its_key_nor_that_ones_hash() -> None:
    owners, elsewhere = Owners(KNOWN, SALT), Owners(KNOWN, b"another salt")
    name = owners.sender(HASHES["asker"]).name
    assert name == Owners(KNOWN, SALT).sender(HASHES["asker"]).name != elsewhere.sender(HASHES["asker"]).name
    assert name not in HASHES["asker"]
    assert name != hashlib.sha256(HASHES["asker"].encode()).hexdigest()[:32]
    assert owners.sender(HASHES["reviewer"]).reviewer
    assert owners.sender("127.0.0.1") == Owners().sender(HASHES["reviewer"]) == Sender()


def test_one_sender_has_a_cap_a_day_and_reviewers_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Owners(KNOWN, SALT, FeedbackParams(most_per_day=2))
    monkeypatch.setattr("time.time", lambda: 10.0)
    for _ in range(2):
        owners.speaks("x", HASHES["asker"])
    with pytest.raises(RequestError, match="at most 2 feedbacks of one sender a day"):
        owners.speaks("x", HASHES["asker"])
    for _ in range(5):
        owners.speaks("x", HASHES["reviewer"])
    owners.speaks("x", HASHES["other"])
    monkeypatch.setattr("time.time", lambda: 86_410.0)
    owners.speaks("x", HASHES["asker"])


def test_over_http_an_answer_is_its_askers_and_reviewers_to_correct(
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
    assert [one.caller for one in lake.read(Trace, "triage")] == [asker] * 4
    told = [(one.sender, one.reviewer) for one in lake.read(Feedback, "triage")]
    assert told == [(asker, False), (reviewer, True)] * 4


def test_without_keys_everybody_is_anonymous(tmp_path: Path, run_server: Callable[..., Any]) -> None:
    lake = Lake(tmp_path / "lake")
    journal = Journal("triage", {"type": "object"}, Outlet(tmp_path / "spool", lake.store, 60), owners=Owners())
    with run_server(journal=journal) as address:
        asked = {"model": "triage", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        name = httpx.post(f"{address}/v1/chat/completions", json=asked).json()["id"]
        assert httpx.post(f"{address}/v1/feedback", json={"id": name, "corrected": "{}"}).status_code == 200
    assert [one.caller for one in lake.read(Trace, "triage")] == [""]
    assert [(one.sender, one.reviewer) for one in lake.read(Feedback, "triage")] == [("", False)]
