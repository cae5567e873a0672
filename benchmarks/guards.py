"""Removes guards one by one: does the test fail without the guard, and pass with it?

A guard is a piece of source and its replacement without the guard. Its test is run twice in a copy of the tree.

    python -m benchmarks.guards
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine_speed import machine, write
from benchmarks.mutants import ROOT, Tree, tree

SERVING, SCORERS, FLOWS = "tests/components/serving", "tests/components/scorers", "tests/flows"


@dataclass(frozen=True)
class Guard:
    """A promise, the file and source of its guard, the replacement, and the tests that must notice."""

    promise: str
    file: str
    source: str
    without: str
    tests: str  # a file, and a pattern for the names of its tests

    @property
    def arguments(self) -> list[str]:
        """Arguments for pytest, which runs slow tests too."""
        file, _, words = self.tests.partition(" ")
        return [file, "-m", "not gpu", *(["-k", words] if words else [])]


GUARDS = [
    # -- services of one machine
    Guard("another name of this address is refused", "flows/guard.py",
          'if headers.getlist("host") != [self._host]:', "if False:", f"{FLOWS}/test_guard.py guard_lets_in"),
    Guard("another site's page is refused", "flows/guard.py",
          'if any(origin != self._origin for origin in headers.getlist("origin")):', "if False:",
          f"{FLOWS}/test_guard.py guard_lets_in"),
    Guard("a page of another port whose number begins alike is refused", "flows/guard.py",
          "origin != self._origin for", "origin not in self._origin for", f"{FLOWS}/test_guard.py guard_lets_in"),
    Guard("MLflow wants a login", "flows/guard.py",
          "if not _proves(", "if False and not _proves(", f"{FLOWS}/test_guard.py guard_lets_in"),
    Guard("Prefect wants a login", "flows/logins.py",
          '        "PREFECT_SERVER_API_AUTH_STRING": login,\n', "",
          f"{FLOWS}/test_closed.py handed_what_closes or single_command"),
    Guard("Prefect allows its own origin alone", "flows/logins.py",
          '        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,\n', "",
          f"{FLOWS}/test_closed.py handed_what_closes or single_command"),
    Guard("Prefect asks for a token before it changes anything", "flows/logins.py",
          '        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",\n', "",
          f"{FLOWS}/test_closed.py handed_what_closes or single_command"),
    Guard("only their owner reads the logins", "flows/logins.py", "0o600)", "0o644)",
          f"{FLOWS}/test_closed.py owner_reads"),
    Guard("sockets are let in as requests are", "flows/guard.py",
          'if scope["type"] not in ("http", "websocket"):', 'if scope["type"] != "http":',
          f"{FLOWS}/test_guard.py socket_is_accepted"),
    Guard("Prefect's server does not start without a login", "flows/servers.py",
          'if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):', "if False:",
          f"{FLOWS}/test_closed.py without_a_login"),
    Guard("MLflow's server does not start without a login", "flows/servers.py",
          "if not user or not password:", "if False:", f"{FLOWS}/test_closed.py without_a_login"),
    Guard("a climb trains when no other does", "flows/ladder.py",
          "    with concurrency(TRAINER, occupy=1):\n        for node in making(run):",
          "    if run:\n        for node in making(run):", f"{FLOWS}/test_one_training.py"),
    Guard("servers listen on loopback", "flows/servers.py",
          "app, host=LOCAL,", 'app, host="0.0.0.0",', f"{FLOWS}/test_closed.py loopback"),
    # -- the spool and the lake
    Guard("a new segment is open before the old one closes", "components/serving/spool.py",
          "old, new = self._current(), self._open()",
          "old = self._current()\n        old.close()\n        new = self._open()",
          f"{SERVING}/test_spool_faults.py rotation_that_fails"),
    Guard("a folder that went is made again", "components/serving/spool.py",
          "            self._folder.mkdir(parents=True, exist_ok=True)\n            self._stamp",
          "            self._stamp",
          f"{SERVING}/test_spool_faults.py folder_that_goes"),
    Guard("a spool that cannot be written is told", "components/serving/spool.py",
          'self._trouble = f"expected to write to the spool {self._folder}, found {error}"', 'self._trouble = ""',
          f"{SERVING}/test_spool_faults.py says_so"),
    Guard("nobody else reads a segment", "components/serving/segment.py",
          "0o600)", "0o644)", f"{SERVING}/test_spool_faults.py nobody_else_may_read"),
    Guard("half a record is taken back", "components/serving/segment.py",
          "            self._undo()\n            raise", "            raise",
          f"{SERVING}/test_spool_faults.py full_disk"),
    Guard("a name of a segment is never given twice", "components/serving/spool.py",
          "max(time.time_ns(), self._stamp + 1)", "time.time_ns()", f"{SERVING}/test_spool.py clock_that_jumps"),
    Guard("a file of the lake is written beside, then renamed", "monitoring/parquet.py",
          'part = path.with_name(f".{path.stem}.part")', "part = path",
          "tests/monitoring/test_kept_files.py disk_that_fills"),
    Guard("what is stored is on the disk before its segment goes", "monitoring/parquet.py",
          "        sync(part)\n", "", "tests/monitoring/test_kept_files.py on_the_disk_itself"),
    Guard("a new file's name is on the disk before its segment goes", "monitoring/parquet.py",
          "        part.unlink(missing_ok=True)\n    sync(path.parent)\n", "        part.unlink(missing_ok=True)\n",
          "tests/monitoring/test_kept_files.py on_the_disk_itself"),
    Guard("a broken file of the lake is set aside", "monitoring/parquet.py",
          "            set_aside(path, error)\n        else:", "            raise\n        else:",
          "tests/monitoring/test_kept_files.py broken_file_is_set_aside"),
    Guard("somebody else's folder in the lake is passed over", "monitoring/lake.py",
          "            except ValueError:  # somebody else's folder\n                continue\n",
          "            except KeyError:\n                continue\n",
          "tests/monitoring/test_kept_files.py strange_folders"),
    Guard("records with other fields than today's are read", "components/records/production.py",
          "return kind.model_validate(known_fields(kind, content))", "return kind.model_validate(content)",
          "tests/monitoring/test_kept_files.py first_format or field_more"),
    Guard("files of the lake without a column of today's are read", "monitoring/lake.py",
          'return pc.field("returned").is_null() | pc.field("returned")', 'return pc.field("returned")',
          "tests/monitoring/test_kept_files.py first_format or column_less"),
    Guard("what was merged into a file is named in it", "monitoring/upkeep.py",
          ".parquet\", held, new=True)", ".parquet\", new=True)",
          "tests/monitoring/test_upkeep.py"),
    # -- callers of the champion's server
    Guard("who takes nothing of an answer is cut off", "components/serving/connections.py",
          "            self._untaken = self.loop.call_later(door.params.request_s, self._too_late)\n", "",
          f"{SERVING}/test_limits.py reads_nothing"),
    Guard("a door that is full lets nobody in", "components/serving/connections.py",
          "        if len(self._open) >= self._most:\n            return False\n", "",
          f"{SERVING}/test_limits.py full_of_connections"),
    Guard("a server holds no more connections than it may open files", "components/serving/connections.py",
          "return limits.most if soft == resource.RLIM_INFINITY else max(1, min(limits.most, soft - OTHER_FILES))",
          "return limits.most", f"{SERVING}/test_limits.py files_may_be_open"),
    Guard("feedback wants a key", "components/serving/app.py",
          "caller = server.admit(request)\n        body", 'caller = ""\n        body',
          f"{SERVING}/test_guards.py a_key"),
    Guard("a model's description wants a key", "components/serving/app.py",
          "name: str) -> dict[str, Any]:\n        server.admit(request)\n", "name: str) -> dict[str, Any]:\n",
          f"{SERVING}/test_guards.py a_key"),
    Guard("/readyz wants a key beyond loopback", "components/serving/app.py",
          "        server.admit_house(request)\n        if reasons", "        if reasons",
          f"{SERVING}/test_guards.py own_figures"),
    Guard("/metrics wants a key beyond loopback", "components/serving/app.py",
          "        server.admit_house(request)\n        await", "        await",
          f"{SERVING}/test_guards.py own_figures"),
    Guard("a body has a limit", "components/serving/server.py",
          "if len(body) > most:", "if False:", f"{SERVING}/test_guards.py body_beyond"),
    Guard("a body that a page may send unasked is refused", "components/serving/browsers.py",
          'if method == "POST" and', 'if method == "" and', f"{SERVING}/test_guards.py unasked"),
    Guard("a server without keys knows its names", "components/serving/browsers.py",
          'if _name(f"//{called}") not in names.own:', "if False:", f"{SERVING}/test_guards.py own_names"),
    Guard("a server without keys refuses others' pages", "components/serving/browsers.py",
          "            origin is not None\n            and", "            False\n            and",
          f"{SERVING}/test_guards.py own_names"),
    Guard("a header gives nobody another one's address", "components/serving/connections.py",
          "        proxy_headers=bool(proxies),\n        forwarded_allow_ips=proxies,\n",
          '        forwarded_allow_ips="*",\n',
          f"{SERVING}/test_guards.py gives_nobody"),
    Guard("no more tokens are computed than the settings allow", "components/serving/protocol.py",
          "params.most_new_tokens // self.n", "10**9", f"{SERVING}/test_limits.py no_more_tokens"),
    Guard("who sends no whole request is cut off", "components/serving/connections.py",
          "            if self._deadline is None:\n", "            if False:\n", f"{SERVING}/test_limits.py cut_off"),
    Guard("who waits longest makes room", "components/serving/connections.py",
          "if len(self._open) >= self._most and self._waiting:", "if False:",
          f"{SERVING}/test_limits.py keep_nobody_out"),
    Guard("headers have an end", "components/serving/connections.py",
          "if self._header_bytes > door.params.most_header_bytes:", "if False:",
          f"{SERVING}/test_limits.py endless_headers"),
    Guard("trailers have an end", "components/serving/connections.py",
          "            self._field_bytes += len(name) + len(value)\n", "",
          f"{SERVING}/test_limits.py endless_trailers"),
    Guard("who asks on without waiting for answers is cut off", "components/serving/connections.py",
          "if len(self.pipeline) > MOST_AHEAD:", "if False:", f"{SERVING}/test_limits.py asks_on"),
    Guard("a temperature near zero draws the likeliest token", "components/engines/sampling.py",
          "sampling.temperature < COLDEST", "sampling.temperature == 0",
          "tests/components/engines/test_sampling.py near_zero"),
    Guard("a caller has its share of the places to wait", "components/serving/waiting.py",
          "if self._closed or len(self) >= self._most or len(queue) >= self._most_of_one:",
          "if self._closed or len(self) >= self._most:", f"{SERVING}/test_waiting.py share_of_the_places"),
    Guard("there are only so many places to wait", "components/serving/waiting.py",
          "if self._closed or len(self) >= self._most or len(queue) >= self._most_of_one:",
          "if self._closed or len(queue) >= self._most_of_one:", f"{SERVING}/test_waiting.py share_of_the_places"),
    Guard("callers take turns", "components/serving/waiting.py",
          "self._queues.move_to_end(caller)", "pass", f"{SERVING}/test_waiting.py take_turns"),
    Guard("callers have a limit where the settings name none", "components/params/serving.py",
          "default=6000, gt=0,", "default=None, gt=0,", f"{SERVING}/test_access.py name_none"),
    Guard("only so many callers are remembered", "components/serving/access.py",
          "if len(self._left) > _MOST_CALLERS:", "if False:", f"{SERVING}/test_access.py longest_silent"),
    Guard("what a caller sends is masked apart from the event loop", "components/serving/app.py",
          "await asyncio.to_thread(server.corrections.check, body, server.params)",
          "server.corrections.check(body, server.params)", f"{SERVING}/test_limits.py event_loop"),
    Guard("a panic in the engine ends its batch alone", "components/serving/batching.py",
          "        except BaseException as error:  # of any kind", "        except Exception as error:  # of any kind",
          f"{SERVING}/test_guards.py panic"),
    Guard("a thread that died is told", "components/serving/health.py",
          "if not all(batcher.alive for batcher in batchers):", "if False:",
          f"{SERVING}/test_guards.py thread_that_died"),
    Guard("a nearly full disk is told", "components/serving/health.py",
          "if (free_mb := _free_mb(folder)) < server.params.least_free_mb:", "if (free_mb := 0.0) < 0:",
          f"{SERVING}/test_guards.py nearly_full"),
    Guard("no more numbers are drawn than tokens fit", "components/engines/decoding.py",
          "longest = max(row.limit for row in rows)", "longest = sampling.max_new_tokens",
          "tests/components/engines/test_sampling.py that_fit"),
    Guard("no number is drawn where no token is", "components/engines/decoding.py",
          "_uniforms(rows, sampling) if sampling.temperature else None", "_uniforms(rows, sampling)",
          "tests/components/engines/test_sampling.py that_fit"),
    Guard("a page of another site is refused where it names none", "components/serving/browsers.py",
          'if origin is None and headers.get("sec-fetch-site", "") not in _OWN_SITE:', "if False:",
          f"{SERVING}/test_browsers.py what_a_browser_says"),
    Guard("answers are masked apart from the event loop", "components/serving/server.py",
          "await asyncio.to_thread(self._write_down, name, answer, asked, caller)",
          "self._write_down(name, answer, asked, caller)", f"{SERVING}/test_limits.py written_down"),
    Guard("a correction has a length", "components/serving/corrections.py",
          "if len(feedback.corrected) > most:", "if False:", f"{SERVING}/test_corrections.py up_to_the_limit"),
    # -- what production teaches
    Guard("a person is asked where anybody may correct answers", "flows/release.py",
          "return not keys.hashes if wanted is None else wanted", "return bool(wanted)",
          f"{FLOWS}/test_waiting.py anybody_may_correct or no_keys"),
    Guard("an answer is its asker's and reviewers' to correct", "components/serving/owners.py",
          "if asked is not None and asked[0] != sender.name and not sender.reviewer:", "if False:",
          f"{SERVING}/test_owners.py over_http"),
    Guard("a word of another one, where it was stored, does not count", "monitoring/voices.py",
          "if word.trace_id in asked and (word.reviewer or word.sender == asked[word.trace_id].caller):",
          "if word.trace_id in asked:", "tests/monitoring/test_voices.py"),
    Guard("corrections that contradict each other do not count", "monitoring/voices.py",
          'if len({content(_right(word, asked[name])) for word in against}) > 1:', "if False:",
          "tests/monitoring/test_voices.py contradict"),
    Guard("a correction obeys the schema when it comes", "components/serving/corrections.py",
          "if objection := self._schema.objection(feedback.corrected):", "if objection := None:",
          f"{SERVING}/test_guards.py no_correction"),
    Guard("an id that is none is refused", "components/serving/corrections.py",
          "if _ID.fullmatch(feedback.id) is None:", "if False:", f"{SERVING}/test_guards.py no_correction"),
    Guard("what was not drawn reaches neither test nor the sealed split", "components/data/harvest.py",
          "if candidate.drawn else _teaching(candidate.trace_id, params.splits)", "",
          "tests/components/data/test_harvest.py thousand_words"),
    Guard("a sender has a cap in a harvest", "components/data/harvest.py",
          "if free or counts[candidate.sender] <= most:", "if True:",
          "tests/components/data/test_harvest.py sender_has_a_cap"),
    Guard("a sender has a cap a day", "components/serving/owners.py",
          "return count < self._params.most_per_day", "return True", f"{SERVING}/test_owners.py cap_a_day"),
    Guard("only its owner reads the salt", "components/serving/owners.py",
          '0o600), "w", encoding="ascii")', '0o644), "w", encoding="ascii")', f"{SERVING}/test_owners.py salt"),
    # -- personal data
    Guard("texts are read as people mean them", "components/data/masking.py",
          'plain = unicodedata.normalize("NFKC", character)', "plain = character",
          "tests/components/data/test_masking.py mark or fifteen"),
    Guard("what is forgotten never comes back from a spool", "components/serving/forgotten.py",
          "if _request(line) not in noted]", "]", f"{FLOWS}/test_retention.py forgotten_everywhere"),
    Guard("a damaged line of what is forgotten holds up no others", "components/serving/forgotten.py",
          'encoding="ascii", errors="replace")', 'encoding="ascii")', "tests/test_damaged_files.py damaged_files_are"),
    Guard("only days that are over go", "monitoring/upkeep.py",
          "if name == workload and day + DAY_S <= before]", "if name == workload]",
          "tests/monitoring/test_upkeep.py days_beyond"),
    Guard("what is forgotten leaves the lake", "monitoring/upkeep.py",
          "        write(kept, kind, path, merged_in(path))\n", "        pass\n",
          "tests/monitoring/test_upkeep.py forgotten_with"),
    # -- time
    Guard("a pattern takes time in proportion to the text", "components/data/masking.py",
          r'''(?:"|\\?\Z)''', r'''(?:"|\Z)''', "tests/test_regular_expressions.py proportion"),
    Guard("a workload's own pattern has a time limit", "components/schema/patterns.py",
          "except TimeoutError:", "except KeyError:", f"{SCORERS}/test_patterns.py match_ends"),
    Guard("a repeated key is found in time", "components/scorers/answers.py",
          "next(key for key, _ in pairs if key in seen or seen.add(key))",
          "next(key for key, _ in pairs if [one for one, _ in pairs].count(key) > 1 or seen.add(key))",
          f"{SCORERS}/test_scorers.py found_in_time"),
    # -- pages
    Guard("no markup of the data stays in Data Docs", "components/data/pages.py",
          'return value if name != "href" or value.startswith("#") else None', "return value",
          "tests/components/data/test_pages.py filtered"),
    Guard("values of the data are shielded", "components/data/pages.py",
          "return value.translate(_SHIELD)", "return value", "tests/components/data/test_pages.py shielded or as_text"),
    Guard("Data Docs run their own script alone", "components/data/pages.py",
          "script-src {_digest(SCRIPT)}", "script-src 'unsafe-inline'", "tests/components/data/test_pages.py alone"),
    Guard("the report shows data as text", "components/report/page.py",
          "autoescape=True", "autoescape=False", "tests/components/report/test_page.py never_run"),
    Guard("the report runs no script", "components/report/templates/page.html.j2",
          "default-src 'none'; style-src 'unsafe-inline'", "style-src 'unsafe-inline'",
          "tests/components/report/test_page.py"),
    # -- queries, answers of others
    Guard("a generated query reads no file", "components/scorers/sql_inside.py",
          '"enable_external_access": "false", ', "", f"{SCORERS}/test_sql_databases.py duckdb_reads"),
    Guard("a value of SQLite's has a length", "components/scorers/sql_inside.py",
          "        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)\n", "",
          f"{SCORERS}/test_sql_databases.py keeps_its_limits"),
    Guard("a pattern of LIKE has a length", "components/scorers/sql_inside.py",
          "        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN)\n", "",
          f"{SCORERS}/test_sql_databases.py keeps_its_limits"),
    Guard("SQLite runs listed functions alone", "components/scorers/sql_inside.py",
          "        connection.set_authorizer(may_only_read)\n", "",
          f"{SCORERS}/test_sql_databases.py listed_functions"),
    Guard("a query ends in time, whatever the engine is at", "components/scorers/sql_inside.py",
          "signal.setitimer(signal.ITIMER_REAL, time_limit_s + LATER)", "pass",
          f"{SCORERS}/test_sql_databases.py no_engine_can_interrupt"),
    Guard("what a query's process says is not believed", "components/scorers/sql_databases.py",
          """        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"{module}.{name} is no type of a cell")
        return _NAMES[module, name]
""", "        return super().find_class(module, name)\n", f"{SCORERS}/test_sql_databases.py not_believed"),
    Guard("requests to a reward server are signed", "components/scorers/http.py",
          'moment.encode() + b"." + body', 'moment.encode() + b"."', f"{SCORERS}/test_http.py signed"),
    # -- models, projects, packages
    Guard("files that were changed are not opened", "components/registry/models.py",
          "return whole(_version(version, folder)).folder", "return folder",
          "tests/components/registry/test_whole.py changed"),
    Guard("files that were changed are not promoted", "components/registry/models.py",
          "    whole(_version(version, folder))\n    if version", "    if version",
          "tests/components/registry/test_whole.py changed"),
    Guard("a move that was interrupted can be taken back", "components/registry/models.py",
          "client.set_registered_model_tag(name, BEFORE_TAG, str(earlier))", "pass",
          "tests/components/registry/test_whole.py can_be_undone"),
    Guard("a canary that became champion ceases to be one", "components/registry/models.py",
          "    elif not _without(client, workload, str(number), (CANDIDATE, CANARY)):", "    else:",
          "tests/components/registry/test_whole.py stops_being"),
    Guard("a copied project works in its own folder", "components/registry/moved.py",
          "for folder in before:", "for folder in ():", "tests/components/registry/test_moved.py"),
    Guard("a command writes for its owner alone", "flows/cli.py",
          "    os.umask(0o077)", "    os.umask(0o022)", f"{FLOWS}/test_private.py command"),
    Guard("a stage writes for its owner alone", "components/stages/command.py",
          "    os.umask(0o077)", "    os.umask(0o022)", f"{FLOWS}/test_private.py stage"),
    Guard("an archive of others writes nowhere else", "components/stages/backup.py",
          'or name.is_absolute() or ".." in name.parts', "",
          "tests/components/stages/test_backup.py outside_of_the_folder"),
    Guard("what is restored is what was written", "components/stages/backup.py",
          "if _digest(folder / name) != digest:", "if False:",
          "tests/components/stages/test_backup.py incomplete_backup"),
    Guard("no text becomes a control token", "components/engines/chat.py",
          "return self.encoded([self._marked(text) for text in texts])", "return self.encoded(list(texts))",
          "tests/components/engines/test_chat.py no_text_becomes"),
    Guard("a grammar that gives up gives no answer", "components/engines/constraint.py",
          "if self._matchers[row].get_error():", "if False:", "tests/components/engines/test_constraint.py gives_up"),
    Guard("a version leaves the machine only where that is set", "components/data/versions.py",
          "if origin.push:", "if True:", "tests/components/data/test_versions.py leaves_the_machine"),
    Guard("packages are installed by their hashes", "infra/install.py",
          '"--no-deps", "--require-hashes")', '"--no-deps")', "tests/test_dependencies.py checked"),
    Guard("a retraining that is noted in the future holds up no other", "flows/retrain.py",
          "if last is None or last.until > now:", "if last is None:", f"{FLOWS}/test_retrain.py cooldown"),
]  # fmt: skip


def main() -> None:
    """Try each guard, print, and write the record."""
    options = parse()
    chosen = [
        candidate
        for candidate in GUARDS
        if not options.words or any(word in candidate.promise for word in options.words)
    ]
    if options.left and options.output.exists():
        done = {row["promise"] for row in json.loads(options.output.read_text(encoding="utf-8"))["rows"]}
        chosen = [candidate for candidate in chosen if candidate.promise not in done]
    rows: list[dict[str, Any]] = []
    for guard in chosen:
        with (
            tempfile.TemporaryDirectory() as folder,
            tree(Path(folder) / "tree", guard.file, guard.arguments) as copy,
        ):
            rows.append({"promise": guard.promise, "file": guard.file, "tests": guard.tests, **tried(guard, copy)})
        print(f"{rows[-1]['found']:32} {guard.promise} ({guard.file})", flush=True)
        keep(rows, options.output)
    noticed = sum(row["found"] == NOTICED for row in rows)
    print(f"{noticed} of {len(rows)} guards are missed by their tests when they are taken out")
    sys.exit(noticed < len(rows))


def keep(rows: list[dict[str, Any]], output: Path) -> None:
    """Write rows to the record, replacing earlier ones of the same guards."""
    rows_before: list[dict[str, Any]] = (
        json.loads(output.read_text(encoding="utf-8"))["rows"] if output.exists() else []
    )
    by_promise = {row["promise"]: row for row in (*rows_before, *rows)}
    listed = [by_promise[guard.promise] for guard in GUARDS if guard.promise in by_promise]
    record = {"guards": len(GUARDS), "tried": len(listed), "noticed": sum(row["found"] == NOTICED for row in listed)}
    where = machine() | {"command": " ".join(["python -m benchmarks.guards", *sys.argv[1:]])}
    write(output, {**record, "rows": listed, **where})


NOTICED = "missed when it is gone"


def tried(guard: Guard, copy: Tree) -> dict[str, Any]:
    """The outcome of a guard's tests with and without it."""
    path = copy.folder / guard.file
    source = path.read_text(encoding="utf-8")
    if guard.source not in source:
        return {"found": "no such source"}
    began = time.monotonic()
    if not copy.passes(guard.arguments, 600):
        return {"found": "its tests fail with it"}
    path.write_text(source.replace(guard.source, guard.without, 1), encoding="utf-8")
    try:
        noticed = not copy.passes(guard.arguments, 600)
    finally:
        path.write_text(source, encoding="utf-8")
    return {"found": NOTICED if noticed else "NOT MISSED", "seconds": round(time.monotonic() - began, 1)}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only guards whose promise has one of these; others keep their rows")
    parser.add_argument("--left", action="store_true", help="only guards that have no row yet")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "guards.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
