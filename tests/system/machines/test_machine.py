"""One real machine under TCG through its life: configured, started, rebooted, ended. In the order of the file."""

from pathlib import Path

import pytest

from benito.images.catalog import Image
from benito.machines import accelerator, guest
from benito.machines.node_channel import Booted, StartExit

from .conftest import Loop
from .node import HOSTS, Node

pytestmark = pytest.mark.system


def test_a_trial_machine_gets_past_its_bios() -> None:
    assert accelerator.trial("tcg", 60)


def test_the_image_holds_no_identity_and_nothing_of_the_host(image: Image) -> None:
    assert image.info.size < 350 << 20
    assert set(image.info.files) == {"root.qcow2", "kernel", "initrd"}


def test_the_start_command_has_run(node: Node, wait: Loop) -> None:
    assert wait(node.says(1)) == [StartExit(3)]
    read = node.machine.agent.read_file
    assert wait(read("/var/containers/log/start_command.out")).decode() == "it's alice é\n"
    assert wait(read("/var/benito/log/start_command.err")).decode() == "to err\n"
    assert wait(read("/var/benito/log/start_command.log")).decode().endswith("exit status: 3\n")
    assert wait(guest.read_state(node.machine.agent)).start_exit == 3


def test_every_interface_has_its_address(node: Node, wait: Loop) -> None:
    shown = wait(node.sh("ip -o -4 address show scope global")).splitlines()
    addresses = {line.split()[3] for line in shown}
    assert addresses == {"172.30.0.5/16", *(f"{nic.address}/24" for nic in node.plan.nics)}
    assert wait(node.sh("ip -o link show up | wc -l")).strip() == "62"


def test_each_address_is_at_its_mac(node: Node, wait: Loop) -> None:
    found = wait(node.sh("ip -o link show to 10.0.59.1 2>/dev/null; ip -o addr show to 10.0.59.1 | cut -d' ' -f2"))
    device = found.split()[-1]
    assert wait(node.sh(f"cat /sys/class/net/{device}/address")).strip() == node.plan.nics[59].mac


def test_routes_and_forwarding(node: Node, wait: Loop) -> None:
    routes = wait(node.sh("ip route show"))
    assert "default via 172.30.0.1" in routes
    assert "10.99.0.0/24 via 10.0.0.2" in routes
    assert wait(node.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/rp_filter | sort -u")) == "0\n1\n"


def test_names_and_accounts(node: Node, wait: Loop) -> None:
    assert wait(node.sh("hostname; cat /etc/hosts")) == f"node-1\n{HOSTS}"
    machine_id = guest.machine_uuid("Test/machines", "node-1").hex
    assert wait(node.sh("cat /etc/machine-id")).strip() == machine_id
    assert wait(node.sh("setpriv --reuid=alice --regid=alice --init-groups sudo -n id -u")).strip() == "0"


def test_sshd_shows_the_key_that_the_host_made(node: Node, wait: Loop) -> None:
    shown = wait(node.sh("ssh-keyscan -T 60 -t ed25519 127.0.0.1 2>/dev/null"))
    assert shown.split()[2] == node.key.public.split()[1]


def test_systemd_has_nothing_to_complain_of(node: Node, wait: Loop) -> None:
    assert wait(node.sh("systemctl --failed --no-legend --plain")) == ""


def test_a_plugged_device_wakes_udev(node: Node, wait: Loop) -> None:
    wait(node.sh("udevadm trigger --settle /sys/class/net/eth0"))
    assert "ID_NET_DRIVER=virtio_net" in wait(node.sh("udevadm info /sys/class/net/eth0"))


def test_a_big_file_goes_in_and_comes_out(node: Node, wait: Loop) -> None:
    data = bytes(range(256)) * 4096
    wait(node.machine.agent.write_file("/tmp/big", data))
    assert wait(node.machine.agent.read_file("/tmp/big")) == data


def test_another_client_takes_over(node: Node, wait: Loop) -> None:
    wait(node.machine.close())
    wait(node.machine.adopt())
    assert wait(node.machine.monitor.status()) == "running"
    assert wait(node.sh("echo here")) == "here\n"


def test_a_reboot_from_inside_reports_again(node: Node, wait: Loop) -> None:
    before = wait(guest.read_state(node.machine.agent)).boot_id
    wait(node.machine.agent.shutdown("reboot"))
    booted, ended = wait(node.says(2))
    assert isinstance(booted, Booted)
    assert booted.boot_id != before
    assert ended == StartExit(3)
    assert wait(guest.read_state(node.machine.agent)) == guest.BootState(booted.boot_id, 3)
    assert wait(node.sh("ip -o -4 address show scope global | wc -l")).strip() == "61"


def test_power_off_ends_the_process(node: Node, wait: Loop) -> None:
    wait(node.machine.stop(60))
    assert wait(node.ended()) == 0
    assert Path(node.machine.paths.console_log).exists()
