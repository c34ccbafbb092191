"""The page that somebody sees who isn't let in: it needs no other file, for those are behind the door too."""

from __future__ import annotations

import html
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#c9d0da, #3a4658); }
body { display: grid; place-items: center; min-height: 90vh; margin: 0 16px; background: light-dark(#f6f7f9, #0d1117);
  color: light-dark(#161b26, #e6eaf1); font: 15px/1.5 ui-sans-serif, system-ui, sans-serif; }
main { width: min(420px, 100%); padding: 28px; box-sizing: border-box; border: 1px solid light-dark(#e2e6ec, #263040);
  border-radius: 10px; background: light-dark(#fff, #151b24); }
h1 { margin: 0 0 6px; font-size: 20px; } p { margin: 0 0 18px; color: light-dark(#4a5465, #b3bccb); }
label { display: block; margin-bottom: 5px; font-size: 13px; font-weight: 600; }
input { width: 100%; box-sizing: border-box; min-height: 38px; padding: 6px 10px; border: 1px solid var(--line);
  border-radius: 6px; background: transparent; color: inherit; font: inherit; }
button { margin-top: 14px; min-height: 38px; padding: 0 16px; border: 0; border-radius: 6px;
  background: light-dark(#2b59c3, #7ea6ff); color: light-dark(#fff, #0d1424); font: 600 14px ui-sans-serif, system-ui; }
"""
DIGEST = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
FORM = (
    '<form action="/" method="get"><label for="token">Token</label>'
    '<input id="token" name="token" type="password" required autofocus autocomplete="current-password">'
    "<button>Sign in</button></form>"
)
TITLES = {HTTPStatus.UNAUTHORIZED: "Sign in"}


def page(status: HTTPStatus, text: str) -> bytes:
    """Return the page; who isn't known yet can show a token on it."""
    title = TITLES.get(status, status.phrase)
    form = FORM if status is HTTPStatus.UNAUTHORIZED else ""
    return _page(title, f"<p>{html.escape(text)}</p>{form}")


def again(address: str) -> bytes:
    """Return a page that asks for an address of ours once more: what our own page asks for has the cookie with it."""
    head = f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">'
    link = f'<p>This page was opened from another site. <a href="{html.escape(address)}">Go on</a></p>'
    return _page("One moment", link, head)


def _page(title: str, body: str, head: str = "") -> bytes:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}'
        f"<title>{html.escape(title)} · Benito</title><style>{STYLE}</style>"
        f"<main><h1>{html.escape(title)}</h1>{body}</main></html>\n"
    ).encode()
