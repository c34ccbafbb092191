"""`benito serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benito.services.serve import Listening, Options
    from benito.testbed.people import User
    from benito.testbed.testbed import Testbed


@click.command("serve")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where all doors listen.")
@click.option("--port", "web_port", default=8080, show_default=True, help="Of the web page.")
@click.option("--xmlrpc-port", default=3069, show_default=True, help="Of Emulab's XML-RPC.")
@click.option("--status-port", default=3070, show_default=True, help="Of the line protocol for node states.")
@click.option("--status-needs-token", is_flag=True, help="Have the line protocol answer only who shows a token.")
@click.option("--init", is_flag=True, help="Make keys, certificates and the first user, and end.")
def command(
    listen: str, web_port: int, xmlrpc_port: int, status_port: int, status_needs_token: bool, init: bool
) -> None:
    """Open the doors for others: the web page, XML-RPC and the status protocol, until Ctrl-C.

    The first start makes what is needed: certificates and a first user, who may do everything. Experiments don't
    depend on it: they and what is under way go on when it ends.
    """
    import asyncio
    import logging

    from benito.cli.common import say
    from benito.services.serve import Options, alone, prepare, serve
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito serve`")
    bed = Testbed()
    if init:
        _, user = prepare(bed, listen)
        _tell_keys(bed, user)
        return
    options = Options(listen, web_port, xmlrpc_port, status_port, status_needs_token)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if options.exposed:
        say(f"note: everybody who reaches {listen} can knock at these doors; `--listen 127.0.0.1` keeps them out")
    with alone(bed):
        asyncio.run(serve(bed, options, lambda listening: _tell(bed, options, listening)))
    say("closed; experiments and what is under way go on")


def _tell(bed: Testbed, options: Options, listening: Listening) -> None:
    """Say where the doors are. The token goes to a terminal only: what a journal keeps, others read."""
    import sys

    from benito.cli.common import say
    from benito.services.access import folder, token_file
    from benito.services.certificates import Authority

    file = token_file(bed.home, listening.user)
    certificate = Authority(folder(bed.home)).user(listening.user.name)
    if sys.stderr.isatty():
        say(f"web page:    {listening.web}/?token={file.read_text().strip()}")
    else:
        say(f"web page:    {listening.web}/ (token in {file})")
    say(f"XML-RPC:     {listening.xmlrpc} (certificate in {certificate})")
    say(f"node states: {listening.status[0]} port {listening.status[1]}")


def _tell_keys(bed: Testbed, user: User) -> None:
    from benito.cli.common import say
    from benito.services.access import folder, token_file
    from benito.services.certificates import Authority

    authority = Authority(folder(bed.home))
    say(f"{user.name} may do everything; their keys, for root to hand on:")
    say(f"  token for the web page    {token_file(bed.home, user)}")
    say(f"  certificate for XML-RPC   {authority.user(user.name)} (their ~/.ssl/emulab.pem)")
    say(f"  what clients know us by   {authority.certificate}")
