"""Pages that show data: whatever stands in the data is shown as text, and nothing of it becomes markup or script."""

import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from components.data.checks import tabulate
from components.data.contract import validate
from components.data.pages import page, shielded
from components.data.sources import Row
from components.records import Example, to_json
from tests.components.data.conftest import MakeWorkload

HIT = "document.title='HIT'"
HOSTILE = [
    f"<script>{HIT}</script>",
    f"<img src=x onerror={HIT}>",
    # What a filter leaves that removes the inner pair.
    f'<img src=x onerror="{HIT}"><scr<script></script>ipt>{HIT}</scr<script></script>ipt>',
    f'<svg onload="{HIT}"><animate onbegin="{HIT}" attributeName=x dur=1s></svg>',
    f'<svg><script xlink:href="data:,{HIT}"></script></svg>',
    f'<a href="javascript:{HIT}">x</a><iframe src="javascript:parent.{HIT}"></iframe>',
    f'<iframe srcdoc="<script>parent.{HIT}</script>"></iframe>',
    f'" onmouseover="{HIT}" autofocus tabindex=1 onfocus="{HIT}" x="',
    f"' onfocus={HIT} autofocus '",
    f"</td></table></style></title></textarea><details open ontoggle={HIT}>",
    f"&lt;script&gt;{HIT}&lt;/script&gt;&#60;script&#62;{HIT}&#60;/script&#62;",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={HIT}&gt;'>",
    f'<meta http-equiv="refresh" content="0;url=javascript:{HIT}"><base href="https://evil.example/">',
    '<link rel=stylesheet href="https://evil.example/x.css"><form action="https://evil.example"><button>x</button>',
    "$column ${value} $$PARAMETER $v__0 {{ 7 * 7 }} {% include 'page.j2' %}",
    "<!-- <b>bold</b>",
    "\u2028</script\u0000><ScRiPt/x>" + HIT,
    '<a href="//other.example/page">a link of the text</a>',
    '<a href="page.html">a neighbour</a>',
]


class Markup(HTMLParser):
    """Every tag and attribute of a page, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def documented(make_workload: MakeWorkload, hostile: str) -> str:
    """Data Docs in which the text is an id, an input's name, a label, a field's name and a value that is refused."""
    properties: dict[str, Any] = {
        "intent": {"enum": ["refund", hostile]},
        "amount": {"type": ["number", "null"], "minimum": 0},
        hostile: {"type": "string", "maxLength": 3},
    }
    workload = make_workload(output={"type": "object", "properties": properties})
    answers = [{"intent": f"{hostile}!", "amount": hostile, hostile: hostile}, {"intent": hostile, hostile: "$x ${y}"}]
    rows = [
        Row(Example(id=name, input={"text": hostile, hostile: ""}, demonstration=text, reference=text, group="g"),
            "all", name)
        for name, text in [("a", to_json(answers[0])), (hostile, to_json(answers[1])), (hostile, "{}")]
    ]  # fmt: skip
    return validate(tabulate(rows, {}, [], workload), workload).page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_data_docs_show_what_is_in_the_data_as_text(make_workload: MakeWorkload, hostile: str) -> None:
    html = documented(make_workload, hostile)
    markup = Markup(html)
    assert markup.tags.isdisjoint({"img", "svg", "iframe", "form", "link", "base", "math", "details", "button"})
    assert html.count("<script") == 1 == html.count("<style")
    assert not [name for name, _ in markup.attributes if name.startswith("on") or name in ("style", "src", "srcdoc")]
    assert all(value.startswith("#") for name, value in markup.attributes if name == "href")
    for start in ("<", "$", "&"):  # complete where it does not break a line or hold what no page can
        if hostile.startswith(start) and "\0" not in hostile:
            assert hostile in markup.text


def test_the_page_allows_its_own_style_and_script_alone() -> None:
    html = page("<p>text</p>")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert html.index("Content-Security-Policy") < html.index("<style")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_that_was_not_shielded_is_filtered_by_what_is_allowed(hostile: str) -> None:
    body = Markup(page(f"<p>{hostile}</p>").split("<body>")[1].rsplit("<script>", 1)[0])
    assert body.tags <= {"p", "a", "b", "table", "td", "tbody", "tr"}
    assert {name for name, _ in body.attributes} <= {"class", "id"}


def test_what_a_page_needs_is_left_on_it_and_links_lead_within_it() -> None:
    kept = [("class", "btn"), ("href", "#there"), ("id", "here"), ("role", "button")]
    link = " ".join(f'{name}="{value}"' for name, value in kept)
    left = Markup(page(f'<a {link}>x</a><a class="b" href="there.html">y</a>').split("<body>")[1])
    assert sorted(left.attributes) == sorted([*kept, ("class", "b")])


def test_a_shielded_value_says_the_same_and_reaches_into_lists_and_names() -> None:
    value = {"<a>": ["&", ('"', 1)], "n": 2.5}
    assert shielded(value) == {"﹤a﹥": ["﹠", ["＂", 1]], "n": 2.5}
    assert shielded({"'"}) == ["＇"] and shielded(["`$", None]) == ["｀﹩", None]
    assert unescape(Markup(page(f"<p>{shielded('<&>')}</p>")).text).count("<&>") == 1


@pytest.mark.services
def test_no_script_of_the_data_runs_in_a_browser(make_workload: MakeWorkload, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]
    private = [f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking"]

    def title(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        command = [browser, *options, *private, (tmp_path / name).as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
        match = re.search(r"<title>(.*?)</title>", dom)
        assert match is not None, dom[:200]
        return match[1]

    assert title("live.html", f"<title>t</title>{HOSTILE[1]}") == "HIT"  # the browser runs what it is given
    assert title("docs.html", documented(make_workload, "".join(HOSTILE).replace("\0", ""))) == "Data Docs"
    assert title("bare.html", page("".join(HOSTILE))) == "Data Docs"
