"""A piece of a TopDL file as it stands there: what the topology's own fields don't name survives in these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Element:
    """An XML element; text is stripped, and the order of children with different tags means nothing."""

    tag: str
    text: str = ""
    children: tuple[Element, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """XML attributes: they mean nothing in TopDL and are kept."""
    line: int = field(default=0, compare=False)

    def all(self, tag: str) -> tuple[Element, ...]:
        """Return the children of that tag."""
        return tuple(child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        """Return the first child of that tag."""
        return next((child for child in self.children if child.tag == tag), None)

    def value(self, tag: str) -> str | None:
        """Return the text of the first child of that tag; None where there is none."""
        child = self.first(tag)
        return None if child is None else child.text

    def without(self, *tags: str) -> Element:
        """Return the element without its children of these tags."""
        return self.holding(child for child in self.children if child.tag not in tags)

    def holding(self, children: Iterable[Element]) -> Element:
        """Return the element with these children instead of its own."""
        return replace(self, children=tuple(children))

    def with_value(self, tag: str, text: str) -> Element:
        """Return the element with the first child of that tag saying this."""
        children = list(self.children)
        for place, child in enumerate(children):
            if child.tag == tag:
                children[place] = replace(child, text=text, children=())
                return self.holding(children)
        return self.holding([*children, leaf(tag, text)])


def leaf(tag: str, text: str) -> Element:
    """Return an element that holds a text."""
    return Element(tag, text)
