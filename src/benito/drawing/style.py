"""Colours and type of SVG pictures, for light and dark surroundings.

Plain class rules, no variables: librsvg and older viewers know none. Kinds differ by shape too, for those who don't
see colours apart.
"""

from __future__ import annotations

FONT = "'DejaVu Sans', Verdana, 'Segoe UI', sans-serif"

KINDS = {
    "qemu": ("#d6e8fb", "#2b6cb0"),
    "container": ("#d8f3dc", "#2f855a"),
    "physical": ("#fde8c8", "#b7600b"),
    "lan": ("#ffffff", "#7b8794"),
}
"""What each kind of vertex is filled and drawn with, on a light page."""
STATES = {"good": "#2f9e44", "busy": "#f2b705", "bad": "#e03131", "unknown": "#9aa5b1"}

LIGHT = """
.page{fill:#ffffff}
text{fill:#1f2933}
.quiet{fill:#52606d}
.pnode rect{fill:#f3f5f8;stroke:#c3ccd6}
.name{fill:#52606d;stroke:#f3f5f8}
.link path,.spoke path{stroke:#7b8794}
.physical .inner{stroke:#b7600b}
.label{fill:#3e4c59;stroke:#ffffff}
.state{stroke:#ffffff}
"""
DARK = """
.page{fill:#14181d}
text{fill:#e4e7eb}
.quiet{fill:#9aa5b1}
.pnode rect{fill:#1d232a;stroke:#3e4c59}
.name{fill:#9aa5b1;stroke:#1d232a}
.link path,.spoke path{stroke:#7b8794}
.qemu .body{fill:#1c3a5e;stroke:#63a4e8}
.container .body{fill:#1d4430;stroke:#5cc28a}
.physical .body{fill:#573410;stroke:#f0a04b}
.physical .inner{stroke:#f0a04b}
.lan .body{fill:#14181d;stroke:#9aa5b1}
.label{fill:#cbd2d9;stroke:#14181d}
.state{stroke:#14181d}
"""
COMMON = f"""
text{{font-family:{FONT};font-size:13px}}
.title{{font-size:19px;font-weight:bold}}
.name{{font-size:11px;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}}
.node text,.lan text{{text-anchor:middle}}
.lan text{{font-size:11px}}
.link path,.spoke path{{fill:none;stroke-width:1.4px}}
.dense .link path{{stroke-width:.9px;stroke-opacity:.6}}
.dense .spoke path{{stroke-width:.9px;stroke-opacity:.3}}
.link path.wide,.spoke path.wide{{stroke-opacity:0;stroke-width:9px}}
.link:hover path,.spoke:hover path{{stroke-opacity:1;stroke-width:3px}}
.link:hover path.wide,.spoke:hover path.wide{{stroke-opacity:0}}
.body{{stroke-width:1.5px}}
.inner{{fill:none;stroke-width:1px}}
.label{{font-size:11px;text-anchor:middle;stroke-width:6px;stroke-linejoin:round;paint-order:stroke}}
.state{{stroke-width:1.5px}}
"""


def sheet() -> str:
    """Return the style sheet."""
    kinds = "".join(f".{kind} .body{{fill:{fill};stroke:{stroke}}}\n" for kind, (fill, stroke) in KINDS.items())
    states = "".join(f".{state}{{fill:{colour}}}" for state, colour in STATES.items())
    return f"{COMMON}{LIGHT}{kinds}{states}\n@media (prefers-color-scheme:dark){{{DARK}}}\n"
