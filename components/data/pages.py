"""Data Docs as one page that needs no network.

Great Expectations writes pages that load styles and scripts from six CDNs. Offline they are a heap of unstyled text
with every collapsed part open, so what is remote is taken out, and a small style and script stand in for it.
"""

import re

_REMOTE = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<nav class=\"navbar.*?</nav>\s*</div>\s*</nav>|<footer\b.*?</footer>"
    r"|url\('https?://[^']*'\)[^;]*;|<img\b[^>]*https?://[^>]*>",
    re.DOTALL,
)
_OTHER_PAGE = re.compile(r" href=\"\.\.?/[^\"]*\"")
STYLE = """
<style>
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
</style>
<script>
addEventListener("click", event => {
  const opener = event.target.closest("[data-toggle=collapse]");
  if (!opener) return;
  const name = opener.dataset.target || opener.getAttribute("href");
  document.querySelectorAll(name).forEach(part => part.classList.toggle("show"));
  event.preventDefault();
});
</script>
"""


def offline(page: str) -> str:
    """The page without anything that a browser would fetch, and with a style and a script of its own."""
    page = _OTHER_PAGE.sub("", _REMOTE.sub("", page))
    return page.replace("</head>", f"{STYLE}</head>", 1)
