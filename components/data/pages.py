"""Data Docs as a self-contained page that runs nothing from the data.

Great Expectations inserts values unescaped, with styles and scripts from six CDNs. So values are shielded before it
sees them, only the tags and attributes listed here are kept from its output, and this module provides the surrounding
page with its style, its script and a content security policy.
"""

import hashlib
from base64 import b64encode
from typing import Any

# Characters with a meaning in HTML or templates → their wide forms, which have none. The page shows these as the usual
# ones, even if they were in the data.
_SHIELD = str.maketrans("&<>\"'`$", "﹠﹤﹥＂＇｀﹩")
_ESCAPED = {wide: f"&#{letter};" for letter, wide in _SHIELD.items()}
_TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "nav", "ol",
    "p", "pre", "small", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"class", "id", "role", "hidden", "colspan", "rowspan", "data-toggle", "data-target", "data-sortable"},
    "a": {"href"},
}
BODY = """
<div class="container-fluid"><div class="row">
{% include 'sidebar.j2' %}
<div class="col-md-10">
{% for section in sections %}{% set section_loop = loop -%}{% include 'section.j2' %}{% endfor %}
</div>
</div></div>
"""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; color: #212529; background: #fff; }
.row { display: flex; flex-wrap: wrap; } .container-fluid { padding: 0 16px; box-sizing: border-box; width: 100%; }
.col-lg-2 { flex: 0 0 220px; } .col-md-10 { flex: 1; min-width: 0; } .col-12 { flex: 0 0 100%; max-width: 100%; }
.collapse { display: none; } .collapse.show { display: block; }
table { border-collapse: collapse; width: 100%; margin: 8px 0; }
td, th { border: 1px solid #dee2e6; padding: 6px 10px; text-align: left; vertical-align: top; }
td { overflow-wrap: break-word; }
th { white-space: nowrap; } table table { width: auto; } .sticky > .card.mb-3 { display: none; }
.alert, .card { border: 1px solid #dee2e6; border-radius: 4px; padding: 8px 12px; margin-bottom: 8px; }
.alert-secondary { background: #e9ecef; } .badge { background: #e9ecef; border-radius: 3px; padding: 1px 5px; }
.text-success, .fa-check-circle { color: #1a7f37; } .text-danger, .fa-times { color: #b42318; }
.text-warning, .fa-exclamation-triangle { color: #9a6700; }
.fa-check-circle::before { content: "✓"; } .fa-times::before { content: "✗"; }
.fa-exclamation-triangle::before { content: "!"; }
h4, h5, p { margin: 4px 0; } ul { margin: 4px 0; } a { color: #0b5cad; } .btn { cursor: pointer; }
[data-toggle=collapse] { cursor: pointer; text-decoration: underline; }
"""
SCRIPT = """
addEventListener("click", event => {
  const opener = event.target.closest("[data-toggle=collapse]");
  if (!opener) return;
  const name = opener.dataset.target || opener.getAttribute("href");
  document.querySelectorAll(name).forEach(part => part.classList.toggle("show"));
  event.preventDefault();
});
"""


def shielded(value: Any) -> Any:
    """A value, recursively, without characters that have a meaning in HTML or templates."""
    if isinstance(value, str):
        return value.translate(_SHIELD)
    if isinstance(value, dict):
        return {shielded(key): shielded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [shielded(item) for item in value]
    return value


def page(body: str) -> str:
    """A page around HTML made of shielded values: it shows them, fetches nothing and runs no script of theirs."""
    import nh3

    body = nh3.clean(
        body.translate(_ESCAPED), tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=set(), link_rel=None,
        clean_content_tags={"script", "style"}, attribute_filter=_within_the_page,
    )  # fmt: skip
    policy = f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}; form-action 'none'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs</title>
<style>{STYLE}</style>
</head>
<body>
{body}
<script>{SCRIPT}</script>
</body>
</html>
"""


def _within_the_page(_: str, name: str, value: str) -> str | None:
    """An attribute's value; None for links to other pages."""
    return value if name != "href" or value.startswith("#") else None


def _digest(text: str) -> str:
    """The hash with which a policy allows exactly one style or script."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
