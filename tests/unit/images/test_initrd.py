"""The initrd's archive and the order of its modules."""

import stat

from benito.images.initrd import Entry, cpio, needed_modules

DEPENDENCIES = """\
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/net/core/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko \
kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
"""


def test_each_module_comes_after_what_it_needs() -> None:
    order = [path.rpartition("/")[2] for path in needed_modules(DEPENDENCIES, ["virtio_net", "virtio_ring"])]
    assert order == ["virtio.ko", "virtio_ring.ko", "failover.ko", "net_failover.ko", "virtio_net.ko.xz"]


def test_a_builtin_driver_needs_no_module() -> None:
    assert needed_modules(DEPENDENCIES, ["virtio_blk"]) == []


def test_the_archive_is_what_the_kernel_reads() -> None:
    data = cpio([Entry("bin", stat.S_IFDIR | 0o755), Entry("init", stat.S_IFREG | 0o755, b"#!/bin/sh\n")])
    assert len(data) % 4 == 0
    assert data.count(b"070701") == 3
    assert b"init\0" in data
    assert b"TRAILER!!!\0" in data
    # The mode is the second field of eight hexadecimal digits.
    assert int(data[14:22], 16) == stat.S_IFDIR | 0o755
