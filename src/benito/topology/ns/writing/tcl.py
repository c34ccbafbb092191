"""Words of Tcl."""

from __future__ import annotations

import re

PLAIN = re.compile(r"[-A-Za-z0-9_./:@%+,=*~]+", re.ASCII)
SPECIAL = {"\\": "\\\\", '"': '\\"', "$": "\\$", "[": "\\[", "]": "\\]", "{": "\\{", "}": "\\}", "\n": "\\n"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
ELEMENT = re.compile(r"([A-Za-z][A-Za-z0-9-]*?)-(\d+)", re.ASCII)
_COMMANDS = (
    "after append apply array auto_execok auto_import auto_load auto_load_index auto_qualify binary break "
    "case catch cd chan clock close concat continue coroutine dict encoding eof error eval exec exit expr "
    "fblocked fconfigure fcopy file fileevent flush for foreach format gets glob global history if incr "
    "info interp join lappend lassign lindex linsert list llength lmap load lrange lrepeat lreplace "
    "lreverse lsearch lset lsort memory namespace new open package pid proc puts pwd read regexp regsub "
    "rename return scan seek set socket source split string subst switch tailcall tell throw time trace "
    "try unknown unload unset update uplevel upvar variable vwait while yield yieldto zlib tcl pkg auto "
)
COMMANDS = frozenset(_COMMANDS.split())
"""Names that no object can have: an object is a command too."""
VARIABLES = frozenset(
    ("ns", "opt", "env", "argv", "argv0", "argc", "errorInfo", "errorCode", "auto-path", "auto-index", "GLOBALS")
)


def word(text: str) -> str:
    """Return a text as one word, bare where it can be, else in quotes or braces."""
    if PLAIN.fullmatch(text) and not text.startswith("#"):
        return text
    if not re.search(r'["$\[\]\\{}\x00-\x08\x0b-\x1f\x7f]', text):
        return f'"{text}"'
    if "\\" not in text and _balanced(text) and not CONTROL.search(text):
        return f"{{{text}}}"
    return f'"{quoted(text)}"'


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0


def quoted(text: str) -> str:
    """Return a text as it stands between double quotes."""
    escaped = "".join(SPECIAL.get(char, char) for char in text)
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)


def comment(text: str) -> str:
    """Return a comment of one line: no backslash ends it, and no brace in it is missed by its partner."""
    plain = CONTROL.sub("?", text.replace("\n", " ").replace("{", "(").replace("}", ")"))
    return f"# {plain}".rstrip("\\ ")
