"""What a Tcl error means to the person who wrote the file, and on which line it happened."""

from __future__ import annotations

import difflib
import re

from benito.errors import Fault, Where
from benito.topology.ns.recording import Limits, Record

FRAME = re.compile(
    r'^    \((?:"(?P<body>[^"]{1,200})" (?:body|then script|else script|arm|case)? ?line (?P<body_line>\d+)'
    r'|"(?P<script>[^"]{1,200})" (?:body|arm) line (?P<script_line>\d+)'
    r'|procedure "(?P<procedure>[^"]{1,200})" line (?P<procedure_line>\d+)'
    r'|file "[^"]{1,200}" line (?P<file_line>\d+))\)',
    re.MULTILINE,
)
SNIPPET = re.compile(r'while (?:executing|compiling)\n"(.*)')
COMMANDS = (
    "set",
    "source",
    "puts",
    "expr",
    "foreach",
    "for",
    "while",
    "if",
    "proc",
    "global",
    "lappend",
    "append",
    "new",
)
BRACES = {
    "missing close-brace": ("a brace `{` is never closed", "look for the block that begins here and close it with `}`"),
    "missing close-bracket": ("a bracket `[` is never closed", "close it with `]` on the same command"),
    'missing "': ("a quotation mark is never closed", 'close the text with `"`'),
    "extra characters after close-brace": (
        "something follows a closing brace",
        "put a space between `}` and what comes next, or end the line there",
    ),
    "extra characters after close-quote": ('something follows a closing `"`', "put a space after the quotation mark"),
}


def explain(record: Record, source: str, file: str, limits: Limits) -> Fault:
    """Return the fault of a script that ended in a Tcl error."""
    message, trail, *code = (*record.fields, "", "")
    lines = source.split("\n")
    line = locate(trail, lines, outermost="time limit exceeded" in message)
    text, hint = _describe(message, [part for part in code if part], limits, trail)
    if code[:2] in (["BENITO", "UNKNOWN"], ["BENITO", "SOURCE"]) and len(code) > 3 and code[3].isdecimal():
        line = int(code[3])
    return Fault(text, Where(file, min(max(line, 1), max(len(lines), 1))), hint)


def _describe(message: str, code: list[str], limits: Limits, trail: str) -> tuple[str, str]:
    """Return the text and the remedy."""
    if code[:1] == ["BENITO"]:
        return _own(code, limits)
    if "time limit exceeded" in message:
        return f"the file runs for more than {limits.seconds} seconds", "look for a loop that never ends"
    if "exceeds max size" in message or "out of memory" in message:
        return "a value needs more memory than there is", "look for a list or text that grows without end"
    if "too many nested evaluations" in message:
        return "the file calls itself too deeply", "look for a procedure that calls itself without end"
    if found := re.match(r'can\'t read "(.{1,200})": (no such|variable is|no such element)', message):
        return f"the variable {found[1]} has no value here", "check its spelling, or `set` it before this line"
    if found := re.match(r'wrong # args: should be "(.*)"', message):
        return "a command has the wrong number of arguments", f"write: {found[1].replace('::benito::', '')}"
    if found := re.match(r'invalid command name "(.{0,200})"', message):
        return _unknown(found[1])
    if "not allowed to invoke subcommand" in message:
        return f"{message.split('subcommand ')[-1]} is not allowed in an experiment file", REFUSED
    for start, explanation in BRACES.items():
        if message.startswith(start):
            return explanation
    return f"Tcl says: {' '.join(message.split())[:300]}", "correct this line; NS files are Tcl programs"


REFUSED = "a file can only describe an experiment: no files, programs, network or clock"


def _own(code: list[str], limits: Limits) -> tuple[str, str]:
    """Return text and remedy of an error that the recorder raised itself."""
    kind, what = code[1], code[2] if len(code) > 2 else ""
    if kind == "UNKNOWN":
        return _unknown(what)
    if kind == "SOURCE":
        hint = "only tb_compat.tcl can be, which Benito has built in: put the other file's text here"
        return f"the file {what[:100]} can't be sourced", hint
    if kind == "OBJECTS":
        return f"the file makes more than {limits.objects} objects", "look for a loop that makes too many"
    return f"`{what}` is not allowed in an experiment file", REFUSED


def _unknown(command: str) -> tuple[str, str]:
    name = command if len(command) <= 60 else command[:57] + "..."
    close = difflib.get_close_matches(name, COMMANDS, 1, 0.7)
    if name.startswith(("<<<<", "====", ">>>>")):
        return "a merge conflict was left in the file", "keep one of the two versions and remove the marks"
    if "\xa0" in name:
        return "a non-breaking space stands where a plain space belongs", "type the spaces of this line again"
    if not name.isascii():
        return f"there is no command `{name}`", "use plain quotes and hyphens: text from web pages often has others"
    if close and close[0] != name:
        return f"there is no command `{name}`", f"did you mean `{close[0]}`?"
    return f"there is no command `{name}`", "put # before a comment; a continued line ends in a single backslash"


def locate(trail: str, lines: list[str], *, outermost: bool = False) -> int:
    """Return the line of the innermost (or outermost) command, from Tcl's trail of nested bodies and procedures."""
    line = 1
    for frame in reversed(list(FRAME.finditer(trail))):
        if frame["file_line"]:
            line = int(frame["file_line"])
            if outermost:
                return line
        elif frame["procedure"]:
            # The recorder's own procedures are not in the file: what called them is meant.
            if begin := _definition(frame["procedure"], lines):
                line = begin + int(frame["procedure_line"]) - 1
        else:
            line += int(frame["body_line"] or frame["script_line"]) - 1
    found = SNIPPET.search(trail)
    return _nearest(found[1].rstrip('".').strip(), line, lines) if found else line


def _definition(procedure: str, lines: list[str]) -> int | None:
    pattern = re.compile(rf"\s*proc\s+:*{re.escape(procedure.lstrip(':'))}\s")
    return next((number for number, text in enumerate(lines, 1) if pattern.match(text)), None)


def _nearest(snippet: str, line: int, lines: list[str]) -> int:
    """Return the line next to this one that begins as the failed command does, or this one."""
    if not snippet:
        return line
    for distance in range(30):
        for number in (line + distance, line - distance):
            if 1 <= number <= len(lines) and snippet in lines[number - 1][:10000]:
                return number
    return line
