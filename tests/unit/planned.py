"""A machine and an image for tests that only look at words."""

from pathlib import Path

from benito.images.catalog import Image as ImageOnDisk
from benito.images.catalog import ImageInfo
from benito.plan.model import ControlNic, Image, Machine, Nic, Route


def a_machine(
    interfaces: int = 2, *, node: str = "node-1", start_command: str | None = None, large_frames: bool = False
) -> Machine:
    nics = tuple(
        Nic(
            name=f"t{number}",
            lan=f"lan{number}",
            port=number,
            mac=f"02:00:00:00:{number // 250 + 1:02x}:{number % 250:02x}",
            address=f"10.0.{number}.1",
            prefix=24,
            large_frames=large_frames,
        )
        for number in range(interfaces)
    )
    return Machine(
        node=node,
        kind="qemu",
        image=Image("debian-12", "0" * 64),
        memory_mib=256,
        cpus=1,
        control=ControlNic("c0", "02:00:00:00:00:01", "172.30.0.5", 16, "172.30.0.1"),
        nics=nics,
        routes=(Route("10.9.0.0/24", "10.0.0.2"),) if interfaces else (),
        start_command=start_command,
        host_key="node-1",
    )


def an_image(folder: Path = Path("/images/debian-12")) -> ImageOnDisk:
    info = ImageInfo(
        name="debian-12",
        description="",
        distribution="debian",
        release="12",
        digest="0" * 64,
        made_from="",
        files={},
        size=0,
        created="",
        memory_mib=256,
        kernel_arguments="root=/dev/vda rw",
        login="",
    )
    return ImageOnDisk(folder, info)
