"""`benito image`: the node images at hand."""

from __future__ import annotations

import click

from benito.cli.common import json_option


@click.group("image")
def command() -> None:
    """List, build and remove node images."""


@command.command("list")
@json_option
def list_images(as_json: bool) -> None:
    """List the images at hand."""
    from benito.cli.common import console, print_json, say, table
    from benito.images.catalog import BUILDABLE, Catalog
    from benito.testbed.home import Home

    images = Catalog(Home.default().root).images()
    if as_json:
        print_json([image.info for image in images])
        return
    if not images:
        say(f"no image is built yet; `benito image build {BUILDABLE[0]}` makes one (a swap-in does so by itself)")
        return
    made = table("image", "description", "size", "created", "digest")
    for image in images:
        info = image.info
        made.add_row(info.name, info.description, f"{info.size / 1e6:.0f} MB", info.created, info.digest[:12])
    console().print(made)


@command.command("build")
@click.argument("name", default="debian-12")
@click.option("--again", is_flag=True, help="Build it even if it is up to date, with today's packages.")
def build_image(name: str, again: bool) -> None:
    """Build the image NAME (debian-12) from the packages of this host's own archive."""
    from benito.cli.common import Lines
    from benito.images.build import build
    from benito.testbed.home import Home

    lines = Lines()
    image = build(name, Home.default().root, lines.step, again=again)
    lines.step(f"image {name}: {image.info.size / 1e6:.0f} MB in {image.folder}")


@command.command("rm")
@click.argument("name")
def remove_image(name: str) -> None:
    """Remove the image NAME."""
    from benito.cli.common import say
    from benito.images.catalog import Catalog
    from benito.testbed.home import Home

    Catalog(Home.default().root).remove(name)
    say(f"image {name} is removed")
