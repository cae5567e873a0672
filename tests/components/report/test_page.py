"""The page: whole, escaped, self-contained, readable without colours and without a mouse."""

import re
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from components.economics import MachinePrice, ModelPrice, Prices
from components.errors import ConfigError, DataError
from components.records import Ladder, Score, Verdict
from components.report import Change, Changes, Evidence, price_lines, render

EVIL = "<script>alert('x')</script><img src=https://evil.example/x.png> & \"quoted\""
VOID = {"meta", "br", "col", "img", "link", "input", "hr", "wbr"}
DRAWN = {"line", "rect", "circle", "polyline", "path"}  # written with a slash, which HTML's parser leaves to SVG


@dataclass
class Page(HTMLParser):
    """What a page consists of; a tag that closes another than the open one fails."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN, f"<{tag}/> is left open by browsers"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def path(ladder: Ladder, evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(ladder, evidence, tmp_path_factory.mktemp("report") / "deep" / "report.html")


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return read(path)


def test_the_page_asks_nothing_of_the_network(path: Path, page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "use"}
        assert not {"src", "href", "srcset", "data", "xlink:href", "background"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    style = path.read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    policy = next(attributes["content"] for attributes in page.named("meta") if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_page_is_small(path: Path) -> None:
    assert path.stat().st_size < 200_000


def test_every_rung_is_there_with_its_numbers(ladder: Ladder, page: Page) -> None:
    labels = [attributes.get("aria-label") or "" for attributes in page.named("svg")]
    for rung in ladder.rungs:
        assert any(label.startswith(f"{rung.name}: {100 * rung.accuracy.value:.1f}% exactly right") for label in labels)
        assert f"{rung.name}" in page.text
    assert "+6.1 points" in page.text and "71 / 10" in page.text and "742 / 48" in page.text


def test_the_verdict_the_data_the_gate_and_the_prices_are_there(page: Page) -> None:
    for expected in (
        "grpo answers 96.4% of cases exactly right.", "Simulated workload.", "seed 20261122",
        "grpo was promoted over sft.",
        "McNemar's exact p = 2.2e-11", "near-duplicate of a training row", "refund_status is rare", "90.9%",
        "model_catalog/openai.json, 2026-08-17", "2026-06-17 (not checked)", "make ui", "two_orders", "wants_refund",
        "Zero-variance groups", "run-of-grpo", "chat (500)",
    ):  # fmt: skip
        assert expected in page.text, expected


def test_prices_that_nobody_measured_are_marked(page: Page) -> None:
    assert page.text.count("tokens × list price: priced, not measured") == 3
    assert "≈ $1,868" in page.text and "≈ $5.67" not in page.text


def test_answers_that_the_scorer_could_not_decide_are_reported(ladder: Ladder, page: Page, tmp_path: Path) -> None:
    undecided = ladder.rungs[1].model_copy(update={"n": 990, "scorer_errors": 10})
    incomplete = ladder.model_copy(update={"rungs": (ladder.rungs[0], undecided, *ladder.rungs[2:])})
    shown = read(render(incomplete, Evidence(calls_per_year=1_000), tmp_path / "report.html"))
    assert f"{undecided.name}: the scorer could not decide on 10 of 1,000 answers" in shown.text
    assert "could not decide" not in page.text


def test_at_most_five_examples_of_each_kind_are_shown(evidence: Evidence, page: Page) -> None:
    assert len(evidence.changes["grpo"].fixed) == 7
    # schema 5 + 2, sft 5 + 0, grpo 5 + 3
    assert len(page.named("article")) == 20
    assert evidence.changes["grpo"].fixed[0].example_id in page.text
    assert evidence.changes["grpo"].fixed[6].example_id not in page.text


def test_what_users_wrote_is_shown_and_never_run(ladder: Ladder, evidence: Evidence, tmp_path: Path) -> None:
    wrong = Score(value=0.0, passed=False)
    evil = Change(
        example_id=EVIL, message=EVIL, reference='{"a": 1}',
        parent_answer=EVIL, parent_score=wrong, answer='{"a": "</td>"}', score=wrong,
    )  # fmt: skip
    rungs = (ladder.rungs[0].model_copy(update={"name": EVIL, "slices": {EVIL: {EVIL: 0.5}}}), *ladder.rungs[1:])
    hurt = ladder.model_copy(
        update={
            "workload": EVIL, "rungs": rungs, "seconds": {EVIL: 1.0},
            "gate": Verdict(champion=EVIL, challenger="grpo", decision="promoted", reasons=(EVIL,)),
        }
    )  # fmt: skip
    injected = evidence.model_copy(
        update={
            "description": EVIL, "incumbent": EVIL, "quarantine": {EVIL: 1}, "warnings": (EVIL,),
            "changes": {"grpo": Changes(fixed=(evil,))}, "curves": {EVIL: {EVIL: [(0, 1.0), (1, 2.0)]}},
        }
    )  # fmt: skip
    page = read(render(hurt, injected, tmp_path / "report.html"))
    assert not page.named("script") and not page.named("img")
    assert page.text.count("<script>alert('x')</script>") >= 12


def test_pictures_have_words_or_are_hidden_from_readers(page: Page) -> None:
    for tag, attributes in page.tags:
        if tag == "svg" and "class" in attributes and attributes["class"] == "parent":
            continue  # inside a picture that has its words
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    assert "✓" in page.text and "✗" in page.text, "right and wrong differ by more than their colour"


def test_headings_descend_one_by_one_and_label_their_sections(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    headings = {attributes.get("id") for attributes in page.named("h2")}
    assert {attributes["aria-labelledby"] for attributes in page.named("section")} == headings


def test_the_same_record_gives_the_same_bytes(ladder: Ladder, evidence: Evidence, path: Path, tmp_path: Path) -> None:
    assert render(ladder, evidence, tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_a_bare_ladder_makes_a_page_too(ladder: Ladder, tmp_path: Path) -> None:
    bare = ladder.model_copy(update={"rungs": ladder.rungs[:2], "gate": None, "simulated": False, "seconds": {}})
    page = read(render(bare, Evidence(calls_per_year=1_000), tmp_path / "report.html"))
    assert "Simulated" not in page.text and "No gate has decided on this run yet." in page.text
    assert "The classical rung wins, right in 41.2% of cases." in page.text


def test_a_ladder_without_rungs_is_refused_and_nothing_written(ladder: Ladder, tmp_path: Path) -> None:
    empty = ladder.model_copy(update={"rungs": ()})
    with pytest.raises(DataError, match=r"expected at least one rung to report on, found none \(triage-nano\)"):
        render(empty, Evidence(calls_per_year=1), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_registered_version_that_stands_is_named_and_no_rung_crowned(ladder: Ladder, tmp_path: Path) -> None:
    refused = Verdict(champion="none", challenger="grpo", decision="kept", reasons=("too few",))
    render(
        ladder.model_copy(update={"gate": refused, "version": 3}),
        Evidence(calls_per_year=1_000),
        tmp_path / "kept.html",
    )
    page = (tmp_path / "kept.html").read_text(encoding="utf-8")
    assert "was refused; version 3 stays champion." in page
    assert 'title="champion"' not in page and 'class="champion"' not in page and 'class="step champion"' not in page


def test_prices_are_shown_with_their_source() -> None:
    prices = Prices(
        characters_per_token=4,
        models={
            "m": ModelPrice(
                provider="p", input_usd_per_million_tokens=0.4, output_usd_per_million_tokens=1.6, source="s",
                date=date(2026, 8, 17),
            )
        },
        machines={
            "c": MachinePrice(
                description="Two cores", usd_per_hour=0.0816, utilisation=0.5, source="t", date=date(2026, 6, 17),
                checked=False,
            )
        },
    )  # fmt: skip
    model, machine = price_lines(prices, ["m"], ["c"])
    assert model.price == "$0.4 a million input tokens, $1.6 a million output tokens"
    assert machine.price == "$0.0816 an hour, busy 50% of the time: Two cores"
    assert (model.date, model.checked, machine.checked) == ("2026-08-17", True, False)
    with pytest.raises(ConfigError, match="expected a model with a price"):
        price_lines(prices, ["unknown"], [])
