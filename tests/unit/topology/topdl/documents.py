"""TopDL documents for tests: some written out, many made by hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from benito.topology import topdl
from benito.topology.element import Element, leaf
from benito.topology.model import Topology
from benito.topology.topdl.document import parse

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("<>&\"'\n\t"), max_size=8
)
TEXTS = TEXT.map(str.strip)
SOME = TEXTS.filter(bool)
NAMES = st.from_regex(r"[a-z][-_0-9a-z]{0,5}", fullmatch=True).filter(lambda name: name != "ops")


def topology(*elements: str, root: str = "experiment") -> Topology:
    """Read a document with these elements in its root."""
    return topdl.read_source(f"<{root}>\n" + "\n".join(elements) + f"\n</{root}>\n", "t.xml")


def substrate(name: str, inner: str = "") -> str:
    return f"<substrates><name>{name}</name>{inner}</substrates>"


def computer(name: str, *inner: str) -> str:
    return f"<elements><computer><name>{name}</name>{''.join(inner)}</computer></elements>"


def interface(lan: str, inner: str = "") -> str:
    return f"<interface><substrate>{lan}</substrate>{inner}</interface>"


def attribute(name: str, value: str) -> str:
    return f"<attribute><attribute>{name}</attribute><value>{value}</value></attribute>"


def elements(text: str | bytes) -> Element:
    """Return a document's root with the children in one order and nothing else changed."""
    return ordered(parse(text if isinstance(text, bytes) else text.encode(), "t.xml"))


def ordered(element: Element) -> Element:
    """Sort children by tag: the order of different ones means nothing."""
    children = sorted((ordered(child) for child in element.children), key=lambda child: child.tag)
    return replace(element, children=tuple(children))


def _attribute(key: str, value: str) -> Element:
    return Element("attribute", children=(leaf("attribute", key), leaf("value", value)))


KEYS = SOME.filter(
    lambda key: ":" not in key and key not in ("loss", "type", "partition", "node_type", "failureaction")
)
ATTRIBUTES = st.lists(st.builds(_attribute, KEYS, TEXTS), max_size=3)
RATES = st.sampled_from(["100000.0", "10", "1544.000000", "0.4", "5e3"])
TIMES = st.sampled_from(["10.0", "0", "25.5", "0.100000", "1e1"])
LOSSES = st.sampled_from(["0.01", "0", "1", "1e-05"]).map(lambda text: [_attribute("loss", text)])
KINDS = st.sampled_from(["max", "average", "avg"]).map(lambda kind: leaf("kind", kind))
CAPACITY = st.builds(lambda rate, kind: [Element("capacity", "", (leaf("rate", rate), kind))], RATES, KINDS)
LATENCY = st.builds(lambda time, kind: [Element("latency", "", (leaf("time", time), kind))], TIMES, KINDS)
NOTHING: st.SearchStrategy[list[Element]] = st.just([])
SHAPING = st.tuples(CAPACITY | NOTHING, LATENCY | NOTHING, LOSSES | NOTHING).map(
    lambda parts: [each for part in parts for each in part]
)
LEAVES = st.builds(
    lambda tag, text: [leaf(tag, text)], st.sampled_from(["localname", "status", "operation", "new"]), TEXTS
)
OTHERS = st.recursive(
    st.builds(leaf, st.sampled_from(["cpu", "storage", "colour", "service"]), TEXTS),
    lambda inner: st.builds(
        lambda tag, children: Element(tag, "", tuple(children)),
        st.sampled_from(["cpu", "storage", "service", "region"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
OS = st.builds(
    lambda names, images: [Element("os", "", (*names, *images))],
    st.lists(st.builds(leaf, st.sampled_from(["name", "distribution"]), TEXTS), max_size=2),
    st.lists(SOME.map(lambda image: _attribute("osid", image)), max_size=2),
)
SOFTWARE = st.builds(
    lambda location, install: [Element("software", "", (leaf("location", location), *install))],
    SOME,
    st.lists(TEXTS.map(lambda text: leaf("install", text)), max_size=1),
)
MEANING = st.lists(
    st.sampled_from(
        [
            _attribute("containers:node_type", "qemu"),
            _attribute("container:node_type", "embedded_pnode"),
            _attribute("benito:node_type", "process"),
            _attribute("partition", "3"),
            _attribute("containers:partition", "0"),
            _attribute("failureaction", "nonfatal"),
            _attribute("type", "pc3000"),
            _attribute("startup", "echo 'a' & b"),
            _attribute("benito:startup", "other"),
        ]
    ),
    max_size=4,
)
EXTENSIONS = st.sampled_from(
    [
        [],
        [_attribute("benito:routing", "manual")],
        [_attribute("benito:routing", "static")],
        [_attribute("benito:groups", '{"all": ["a"]}')],
        [_attribute("benito:events", "[ ]")],
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> Element:
    """Make a document with everything that TopDL has, and some that it hasn't."""
    lans = draw(st.lists(NAMES, unique=True, max_size=3))
    tag = draw(st.sampled_from(["experiment", "topology", "anything"]))
    children = [leaf("version", "1.0")] if tag == "anything" or draw(st.booleans()) else []
    for lan in lans:
        inner = draw(SHAPING) + draw(ATTRIBUTES) + draw(LEAVES | NOTHING)
        children.append(Element("substrates", "", (leaf("name", lan), *inner)))
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        children.append(Element("elements", "", (draw(_computer(name, lans)),)))
        if draw(st.integers(0, 5)) == 0:
            children.append(Element("elements", "", (Element("other", "", tuple(draw(_interfaces(lans)))),)))
    children += draw(ATTRIBUTES) + draw(EXTENSIONS) + [Element("regions", draw(TEXTS))] * draw(st.integers(0, 1))
    return Element(tag, "", tuple(children))


@st.composite
def _computer(draw: st.DrawFn, name: str, lans: list[str]) -> Element:
    parts = [leaf("name", name), *draw(OS | NOTHING), *draw(SOFTWARE | NOTHING), *draw(SOFTWARE | NOTHING)]
    parts += draw(_interfaces(lans)) + draw(MEANING) + draw(ATTRIBUTES)
    parts += draw(st.lists(OTHERS, max_size=2)) + draw(LEAVES | NOTHING)
    return Element("computer", "", tuple(draw(st.permutations(parts))))


@st.composite
def _interfaces(draw: st.DrawFn, lans: list[str]) -> list[Element]:
    found = []
    for lan in draw(st.lists(st.sampled_from(lans), max_size=3)) if lans else []:
        label = [leaf("name", draw(SOME))] if draw(st.booleans()) else []
        inner = [*label, *draw(SHAPING), *draw(ATTRIBUTES)]
        found.append(Element("interface", "", (leaf("substrate", lan), *draw(st.permutations(inner)))))
    return found
