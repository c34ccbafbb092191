"""`benito serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benito.services.serve import Listening
    from benito.testbed.people import User
    from benito.testbed.testbed import Testbed


@click.command("serve")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where all doors listen.")
@click.option("--port", "web_port", default=8080, show_default=True, help="Of the web page.")
@click.option("--xmlrpc-port", default=3069, show_default=True, help="Of Emulab's XML-RPC.")
@click.option("--status-port", default=3070, show_default=True, help="Of the line protocol for node states.")
@click.option("--status-needs-token", is_flag=True, help="Have the line protocol answer only who shows a token.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="Another name of this server, as a proxy's.")
@click.option("--init", is_flag=True, help="Make keys, certificates and the first user, and end.")
@click.option("--install-unit", is_flag=True, help="Write a systemd unit that serves with these options, and end.")
def command(init: bool, install_unit: bool, **told: str | int | bool | tuple[str, ...]) -> None:
    """Open the doors for others: the web page, XML-RPC and the status protocol, until Ctrl-C.

    The first start makes what is needed: certificates and a first user, who may do everything. Experiments don't
    depend on it: they and what is under way go on when it ends.
    """
    import asyncio
    import logging

    import msgspec

    from benito.cli.common import say
    from benito.services.certificates import own_names
    from benito.services.serve import Options, alone, prepare, serve
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito serve`")
    bed = Testbed()
    options = msgspec.convert(told, Options)
    if init:
        _tell_keys(bed, prepare(bed, own_names(options.listen, options.names))[1])
        return
    if install_unit:
        _install(bed)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if options.exposed:
        say(f"note: whoever reaches {options.listen} can knock at these doors; without --listen only this host's users")
    with alone(bed):
        asyncio.run(serve(bed, options, lambda listening: tell(bed, listening)))
    say("closed; experiments and what is under way go on")


def tell(bed: Testbed, listening: Listening) -> None:
    """Say where the doors are. The token goes to a terminal only: what a journal keeps, others read."""
    import sys

    from benito.cli.common import say
    from benito.services import unit
    from benito.services.access import folder, token_file
    from benito.services.certificates import Authority

    file = token_file(bed.home, listening.user)
    if sys.stderr.isatty():
        say(f"web page:    {listening.web}/?token={file.read_text().strip()}")
    else:
        say(f"web page:    {listening.web}/ (token in {file})")
    say(f"XML-RPC:     {listening.xmlrpc} (certificate in {Authority(folder(bed.home)).user(listening.user.name)})")
    say(f"node states: {listening.status[0]} port {listening.status[1]}")
    unit.ready()


def _tell_keys(bed: Testbed, user: User) -> None:
    from benito.cli.common import say
    from benito.services.access import folder, token_file
    from benito.services.certificates import Authority

    authority = Authority(folder(bed.home))
    say(f"{user.name} may do everything; their keys, for root to hand on:")
    say(f"  token for the web page    {token_file(bed.home, user)}")
    say(f"  certificate for XML-RPC   {authority.user(user.name)} (their ~/.ssl/emulab.pem)")
    say(f"  what clients know us by   {authority.certificate}")


def _install(bed: Testbed) -> None:
    """Write the unit, with the options that this command was given and aren't the defaults."""
    from benito.cli.common import say
    from benito.services import unit

    context = click.get_current_context()
    words: list[str] = []
    for parameter in context.command.params:
        value, option = context.params[str(parameter.name)], parameter.opts[0]
        if parameter.name in ("init", "install_unit") or value == parameter.get_default(context):
            continue
        if isinstance(value, tuple):
            words += [word for each in value for word in (option, each)]
        else:
            words += [option] if value is True else [option, str(value)]
    path = unit.install(bed.home, words)
    say(f"{path} is written; start it, now and at each boot, with:")
    say(f"  systemctl daemon-reload && systemctl enable --now {path.stem}")
