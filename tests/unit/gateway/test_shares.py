"""What the server of shared folders is told."""

from __future__ import annotations

from benito.gateway.shares import Served, configuration, server_command, view_command


def test_each_folder_is_an_export_of_its_view_never_of_itself() -> None:
    text = configuration(
        (
            Served(source="/srv/secret", target="/proj/P", people=(1000,)),
            Served(source="/home/a", target='/share/"x', read_only=True, everybody=1001),
        ),
        7,
    )
    first, second = text.split("EXPORT {")[1:]
    assert "/srv/secret" not in text
    assert "/home/a" not in text
    assert "Path = /views/0;" in first
    assert 'Pseudo = "/proj/P";' in first
    assert "Access_Type = RW;" in first
    assert "Path = /views/1;" in second
    assert r'Pseudo = "/share/\"x";' in second
    assert "Access_Type = RO;" in second
    assert "Squash = Root_Squash;\n    Anonymous_Uid = 64072;" in first
    assert "Squash = All_Squash;\n    Anonymous_Uid = 1001;" in second
    assert "Protocols = 4;" in text


def test_exports_are_numbered_from_the_one_that_is_told() -> None:
    shares = tuple(Served(source="/x", target=f"/s/{number}") for number in range(3))
    text = configuration(shares, 500)
    assert [f"Export_Id = {number};" in text for number in (499, 500, 501, 502, 503)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert configuration(shares, 500) == text


def test_views_keep_their_handles_and_carry_no_privileges() -> None:
    options = view_command(0, read_only=True)[-3].split(",")
    assert {"noforget", "default_permissions", "nosuid", "nodev", "ro"} <= set(options)
    assert view_command(1, read_only=False)[-2:] == ["/sources/1", "/views/1"]
    assert "ro" not in view_command(1, read_only=False)[-3].split(",")


def test_the_server_cannot_make_devices_or_mount() -> None:
    bounds = next(word for word in server_command() if word.startswith("--bounding-set="))
    assert bounds.startswith("--bounding-set=-all,")
    assert not {"+mknod", "+sys_admin", "+sys_module", "+net_admin"} & set(bounds.split("=", 1)[1].split(","))
