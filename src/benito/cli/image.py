"""`benito image`: the node images at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.common import json_option
from benito.cli.template import list_templates, remove_template

if TYPE_CHECKING:
    from benito.images.catalog import Catalog, Image
    from benito.images.errand import Boot
    from benito.images.recipe import Recipe
    from benito.testbed.progress import Progress


@click.group("image")
def command() -> None:
    """The systems that nodes run: list, build, import, check and remove them.

    A node's image is chosen by its file (tb-set-node-os, osid), else by --default-os, else it is debian-12.
    """


command.add_command(list_templates)
command.add_command(remove_template)


_template_option = click.option(
    "--template/--no-template",
    default=True,
    help="Boot a machine of it for others to be cloned from, or leave that to the first swap-in.",
)


@command.command("list")
@json_option
def list_images(as_json: bool) -> None:
    """List the images at hand, and those that can be built."""
    from benito.cli.common import console, print_json, say, table
    from benito.images import store
    from benito.images.recipe import RECIPES

    catalog = _catalog()
    images = [_facts(image) for name in catalog.names() if (image := _sound(name)) is not None]
    if as_json:
        print_json(images)
        return
    if images:
        made = table("image", "description", "for", "disk", "size", "created", "digest", "users")
        for name in catalog.names():
            if (image := _sound(name)) is None:
                made.add_row(name, "damaged: `benito image verify` tells more", *[""] * 6)
                continue
            info = image.info
            made.add_row(
                name,
                info.description,
                _kinds(image),
                f"{info.disk_mib / 1024:g} GiB" if info.for_machines else "-",
                f"{info.size / 1e6:.0f} MB",
                info.created,
                info.digest[:12],
                str(len(store.users(catalog, info.digest)) or "-"),
            )
        console().print(made)
    missing = [name for name in RECIPES if not catalog.has(name)]
    if missing:
        say(f"not built yet: {', '.join(missing)} (`benito image build NAME`; a swap-in that needs one builds it)")


@command.command("build")
@click.argument("name", default="debian-12")
@click.option("--suite", help="Release to build, as its archive calls it (trixie, noble); needs a NAME of your own.")
@click.option("--mirror", metavar="URL", help="Archive to take packages from (default: this host's own apt's).")
@click.option("--keyring", type=click.Path(path_type=Path, exists=True), help="Keys that the archive is signed with.")
@click.option("--include", multiple=True, metavar="PKG,...", help="More packages.")
@click.option("--customize", metavar="SCRIPT", type=click.Path(path_type=Path), help="Run in the system at the end.")
@click.option("--size", metavar="SIZE", help="Size of the disk, such as 16G (default: 8G); it takes what is used.")
@click.option("--memory", type=click.IntRange(64), metavar="MIB", help="What a node of this image gets if not told.")
@click.option("--again", is_flag=True, help="Build it even if it is up to date, with today's packages.")
@_template_option
@json_option
def build_image(name: str, as_json: bool, again: bool, template: bool, **told: Any) -> None:
    """Build the image NAME from a package archive.

    \b
    benito image build debian-13
    benito image build router --suite trixie --include frr,bird2
    benito image build ubuntu-24.04 --mirror http://ARCHIVE/ubuntu

    Known names are debian-11, debian-12, debian-13, debian-14, debian-sid, ubuntu-22.04 and ubuntu-24.04. Packages come
    from the archive that this host's own apt uses. The script of --customize runs as root in the new system. Nodes that
    run the image of that name go on with what they have.
    """
    from benito.images.build import Origin, build

    lines = _lines()
    origin = Origin(told["mirror"], told["keyring"])
    image = build(_recipe(name, told), _home(), lines.step, again=again, origin=origin)
    if template:
        _make_template(image, lines)
    _made(image, as_json, lines.step)


@command.command("import")
@click.argument("name")
@click.argument("source", metavar="FILE|URL")
@click.option("--checksum", metavar="sha256:...", help="What FILE, as it is fetched, must be.")
@click.option("--as-is", is_flag=True, help="Don't boot it first: it holds all that a node needs.")
@click.option("--kernel", type=click.Path(path_type=Path), help="Kernel to start it with, instead of its boot loader.")
@click.option("--initrd", type=click.Path(path_type=Path), help="Initrd that goes with --kernel.")
@click.option("--append", metavar="WORDS", default="", help="Arguments of --kernel (default: root=/dev/vda rw ...).")
@click.option("--memory", type=click.IntRange(64), default=512, show_default=True, help="MiB of a node, if not told.")
@click.option("--description", default="", help="What `benito image list` says of it.")
@_template_option
@json_option
def import_disk(name: str, source: str, as_json: bool, template: bool, **told: Any) -> None:
    """Make the image NAME of a disk, or of a container's system, that was made elsewhere.

    \b
    benito image import ubuntu-24.04 noble-server-cloudimg-amd64.img --checksum sha256:...
    benito image import alpine alpine-minirootfs.tar.gz

    A disk (qcow2, raw, vmdk, vdi, vhdx; gz, bzip2, xz, zstd or lz4 around it) is a cloud image: it is booted once with
    cloud-init, which installs what a node needs (qemu-guest-agent, sshd, sudo, ip) and makes it forget who it is. A tar
    archive of a root file system, an archive of `docker save` or one in OCI layout makes an image for containers.
    """
    from benito.images.importing import Import, import_image
    from benito.testbed.testbed import require_root

    require_root("`benito image import`", "images")
    lines = _lines()
    told["memory_mib"], told["arguments"] = told.pop("memory"), told.pop("append")
    image = import_image(Import(name, source, **told), _home(), _boot(), lines.step)
    if template:
        _make_template(image, lines)
    _made(image, as_json, lines.step)


@command.command("create")
@click.argument("node")
@click.argument("name")
@click.option("-p", "--pid", help="Project id.")
@click.option("-e", "--eid", help="Experiment id, or PID/EID.")
@click.option("--description", default="", help="What `benito image list` says of it.")
@_template_option
@json_option
def create_image(
    node: str, name: str, pid: str | None, eid: str | None, description: str, template: bool, as_json: bool
) -> None:
    """Make the image NAME of the running node NODE (`center`, `center.star.demo`), which runs on.

    \b
    benito image create center.star.demo my-router
    benito up other.ns --default-os my-router

    Files, packages and settings stay. What is the node's alone goes: host keys, machine-id, addresses, names, logs of
    start commands, what lies in /tmp, and the accounts of the experiment's members with their keys; their home folders
    stay, as anybody may read them who may use the image.
    """
    from benito.cli.common import progress
    from benito.cli.nodenames import experiment_of
    from benito.testbed.capturing import capture
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito image create`", "images")
    bed = Testbed()
    experiment, own = experiment_of(bed, node, pid, eid)
    with progress() as shown:
        image = capture(bed, experiment, own, name, _boot(), shown, description)
        if template:
            _make_template(image, shown)
    _made(image, as_json, _say)


@command.command("show")
@click.argument("name")
@json_option
def show_image(name: str, as_json: bool) -> None:
    """Show all that is known of the image NAME, and which experiments use it."""
    from benito.cli.common import console, print_json, table

    facts = _facts(_catalog().get(name))
    if as_json:
        print_json(facts)
        return
    made = table("", name)
    for key, value in facts.items():
        if isinstance(value, dict):
            value = "\n".join(f"{inner}: {_text(text)}" for inner, text in value.items())
        made.add_row(key.replace("_", " "), _text(value))
    console().print(made)


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def verify_images(names: tuple[str, ...], as_json: bool) -> None:
    """Read the files of images (default: of all) and compare them with what they were when they were made.

    Exit status 6 when something is damaged.
    """
    from benito.cli.common import print_json, say
    from benito.errors import InputError

    found: dict[str, list[dict[str, str]]] = {}
    for name in names or _catalog().names():
        try:
            found[name] = _damages(name)
        except InputError as error:
            if names and not _catalog().has(name):
                raise
            found[name] = [{"file": "image.json", "what": error.message}]
    if as_json:
        print_json(found)
    for name, damages in found.items():
        for damage in damages:
            say(f"{name}: {damage['file']}: {damage['what']}")
        if not damages and not as_json:
            click.echo(f"{name}: sound")
    if any(found.values()):
        say("a damaged image is made anew by `benito image build NAME --again`, or by importing it again")
        raise SystemExit(6)


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_images(names: tuple[str, ...]) -> None:
    """Remove images by their names.

    What a name stands for stays on the disk for as long as nodes, running or kept, need it.
    """
    from benito.cli.common import say
    from benito.images import store
    from benito.testbed.testbed import require_root

    require_root("`benito image rm`", "images")
    catalog = _catalog()
    for name in names:
        image = _sound(name)
        users = store.users(catalog, image.info.digest) if image else []
        gone = store.remove(catalog, name)
        if gone or not users:
            say(f"image {name} is removed")
        else:
            say(f"the name {name} is removed; the contents go when {', '.join(users)} no longer need them")


def _recipe(name: str, told: dict[str, Any]) -> Recipe:
    """Return the known recipe of this name, or one for the suite, with what was told besides."""
    from dataclasses import replace

    from benito.errors import InputError
    from benito.images import recipe
    from benito.images.catalog import check_name

    check_name(name)
    _check_suite(name, told["suite"])
    made = _of_suite(name, told["suite"], told["mirror"]) if told["suite"] else recipe.named(name)
    more = tuple(word for text in told["include"] for word in text.replace(",", " ").split())
    changes: dict[str, Any] = {"packages": tuple(dict.fromkeys((*made.packages, *more)))}
    if told["customize"]:
        try:
            changes["customize"] = told["customize"].read_text()
        except OSError as error:
            raise InputError(f"can't read {told['customize']}: {error.strerror}") from error
    if told["size"]:
        changes["size_mib"] = _size_mib(told["size"])
    if told["memory"]:
        changes["memory_mib"] = told["memory"]
    return replace(made, **changes)


def _check_suite(name: str, suite: str | None) -> None:
    """InputError for a known name with another release in it: nodes that ask for the one would get the other."""
    from benito.errors import InputError
    from benito.images.recipe import RECIPES

    known = RECIPES.get(name)
    if suite and known is not None and suite not in (known.suite, known.name):
        raise InputError(
            f"{name} is the name of {known.title}, not of {suite}", hint="`--suite` needs a NAME of your own"
        )


def _size_mib(text: str) -> int:
    """Read the size of a disk as `benito up --disk` does, a plain number as MiB."""
    from benito.errors import InputError
    from benito.images.recipe import LEAST_SIZE_MIB
    from benito.topology import sizes

    try:
        return sizes.number(text, LEAST_SIZE_MIB, sizes.MOST_DISK_MIB, "MiB")
    except InputError as error:
        raise InputError(f"--size {text}: {error.message}", hint=error.hint) from error


def _of_suite(name: str, suite: str, mirror: str | None) -> Recipe:
    """Return a recipe for a suite, known or not; the archive itself says what it is."""
    from benito.errors import HostError
    from benito.images import recipe
    from benito.images.sources import archives, probe

    known = next((one for one in recipe.RECIPES.values() if suite in (one.suite, one.name)), None)
    if known is not None:
        return recipe.of_suite(name, known.suite, known.distribution, known.release)
    where = archives("debian", mirror).main
    found = probe(where, suite)
    if found is None:
        raise HostError(f"the archive has no release {suite}, or can't be reached", hint="name another --mirror")
    return recipe.of_suite(name, suite, found.origin or "debian", found.version)


def _damages(name: str) -> list[dict[str, str]]:
    from dataclasses import asdict

    from benito.images import store

    return [asdict(damage) for damage in store.verify(_catalog().get(name))]


def _facts(image: Image) -> dict[str, Any]:
    """Return an image's facts for programs."""
    from dataclasses import asdict

    from benito.images import store

    return {**asdict(image.info), "folder": str(image.folder), "users": store.users(_catalog(), image.info.digest)}


def _sound(name: str) -> Image | None:
    from benito.errors import InputError

    try:
        return _catalog().get(name)
    except InputError:
        return None


def _kinds(image: Image) -> str:
    info = image.info
    if info.for_machines and info.for_containers:
        return "all nodes"
    return "virtual machines" if info.for_machines else "containers"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def _boot() -> Boot:
    """Return how a machine is booted for an errand on this host."""
    from functools import partial

    from benito.machines.accelerator import decide
    from benito.machines.throwaway import run_errand

    return partial(run_errand, accelerator=decide("auto", _home() / "cache"))


def _made(image: Image, as_json: bool, step: Any) -> None:
    from benito.cli.common import print_json

    if as_json:
        print_json(_facts(image))
    else:
        step(f"image {image.name}: {image.info.size / 1e6:.0f} MB, {image.info.digest[:12]}")


def _make_template(image: Image, progress: Progress) -> None:
    """Have what the first swap-in of the image's machines needs."""
    from benito.testbed.templating import make_plain
    from benito.testbed.testbed import Testbed

    make_plain(Testbed(), image, progress)


def _say(text: str) -> None:
    from benito.cli.common import say

    say(text)


def _lines() -> Any:
    from benito.cli.common import Lines

    return Lines()


def _home() -> Path:
    from benito.testbed.home import Home

    return Home.default().root


def _catalog() -> Catalog:
    from benito.images.catalog import Catalog

    return Catalog(_home())
