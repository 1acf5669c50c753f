"""The directories of an outbox and what counts in them, with the files of another user beside ours."""

from __future__ import annotations

import os
import socket
import stat

import pytest

import users
from hf_openobserve.outbox import places
from hf_openobserve.outbox.directory import LARGEST_FILE_BYTES, Directory, RefusedError
from users import THEM, US

DESTINATION = "openobserve https://o2.example.com/api/default/v1/traces stream=default"
ID = places.destination_id(DESTINATION)
pytestmark = pytest.mark.matrix
NAME = "00000000000000000001-1-abcdef01.seg"


def ours(path):
    return Directory(str(path), (os.geteuid(),))


def make_socket(path):
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(str(path.parent))  # the name of a socket is short
    try:
        listening.bind(path.name)
    finally:
        os.chdir(here)
        listening.close()


def make_link(path):
    target = path.parent / "target"
    target.write_bytes(b"precious")
    path.symlink_to(target)


def make_sparse(path):
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)


IN_PLACE_OF_A_FILE = {
    "a fifo": (lambda path: os.mkfifo(str(path)), "is no regular file"),
    "a socket": (make_socket, "is no regular file"),
    "a directory": (lambda path: path.mkdir(), "is no regular file"),
    "a link": (make_link, "is no regular file"),
    "a sparse file": (make_sparse, "is larger than a segment can be"),
}


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR], ids=["to read", "to write"])
@pytest.mark.parametrize("what", list(IN_PLACE_OF_A_FILE))
def test_what_is_no_file_of_ours_is_neither_counted_nor_opened(tmp_path, what, flags):
    make, why = IN_PLACE_OF_A_FILE[what]
    make(tmp_path / NAME)
    (tmp_path / ("9" + NAME[1:])).write_bytes(b"a segment")
    directory = ours(tmp_path)
    assert [(file.size, file.refused) for file in directory.files(places.OUR_FILES)][1:] == [(9, "")]
    assert directory.files(places.OUR_FILES)[0].refused == why
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError):
        directory.open(NAME, flags)
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices and give files away")
@pytest.mark.parametrize("what", ["another's file", "a device", "another's link to a file of ours"])
def test_what_another_user_has_made_does_not_count(tmp_path, what):
    path = tmp_path / NAME
    if what == "a device":
        os.mknod(str(path), stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    elif what == "another's file":
        path.write_bytes(b"theirs")
    else:
        make_link(path)
    os.chown(str(path), THEM, THEM, follow_symlinks=False)
    (file,) = ours(tmp_path).files(places.SEGMENTS)
    assert file.refused
    with pytest.raises(OSError):
        ours(tmp_path).read(NAME)


def test_what_a_file_grows_by_while_it_is_read_is_left_for_the_next_time(tmp_path, monkeypatch):
    path = tmp_path / NAME
    path.write_bytes(b"x" * 10)
    read = os.read

    def growing(fd, size):
        with path.open("ab") as file:
            file.write(b"y" * 10)
        return read(fd, size)

    monkeypatch.setattr(os, "read", growing)
    assert ours(tmp_path).read(NAME) == b"x" * 10


def test_a_file_swapped_for_a_fifo_after_it_was_listed_is_not_waited_for(tmp_path):
    (tmp_path / NAME).write_bytes(b"x")
    directory = ours(tmp_path)
    assert [file.refused for file in directory.files(places.SEGMENTS)] == [""]
    (tmp_path / NAME).unlink()
    os.mkfifo(str(tmp_path / NAME))
    with pytest.raises(RefusedError, match="no regular file"):
        directory.open(NAME)


@pytest.mark.parametrize("step", ["files", "open", "create", "unlink", "rename", "subdirectory"])
@pytest.mark.parametrize("swapped_for", ["another directory", "a link", "nothing"])
def test_nothing_is_done_in_what_stands_in_a_directorys_place_by_now(tmp_path, step, swapped_for):
    root = ours(tmp_path)
    (tmp_path / ID).mkdir()
    (tmp_path / "elsewhere" / "rejected").mkdir(parents=True)
    for directory in (ID, "elsewhere"):
        (tmp_path / directory / NAME).write_bytes(b"x")
    found = root.subdirectory(ID, (os.geteuid(),))
    (tmp_path / ID).rename(tmp_path / "away")
    if swapped_for == "a link":
        (tmp_path / ID).symlink_to(tmp_path / "elsewhere")
    elif swapped_for == "another directory":
        (tmp_path / "elsewhere").rename(tmp_path / ID)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    steps = {
        "files": lambda: found.files(places.SEGMENTS),
        "open": lambda: found.open(NAME),
        "create": lambda: found.create("new.seg"),
        "unlink": lambda: found.unlink(NAME),
        "rename": lambda: found.rename(NAME, "new.seg"),
        "subdirectory": lambda: places.rejected(found, create=True),
    }
    with pytest.raises(OSError):
        steps[step]()
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


# Made by us.


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_what_is_made_is_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        directory = places.make_destination(str(tmp_path / "a" / "b" / "outbox"), "local")
        os.close(directory.create(NAME))
        os.close(places.rejected(directory, create=True).create(NAME))
    finally:
        os.umask(before)
    made = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert made == {
        **dict.fromkeys(("a", "a/b", "a/b/outbox", "a/b/outbox/local", "a/b/outbox/local/rejected"), 0o700),
        **dict.fromkeys((f"a/b/outbox/local/{NAME}", f"a/b/outbox/local/rejected/{NAME}"), 0o600),
    }


def test_what_was_there_keeps_its_mode(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    places.make_destination(str(tmp_path / "there" / "outbox"), "local")
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755


@pytest.mark.parametrize("path", ["relative/outbox", "outbox/", "./a/../outbox"])
def test_a_path_may_be_written_in_any_way(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    assert os.path.isdir(places.make_destination(path, "local").path)


def test_the_names_of_directories():
    names = ("local", "local-1", "local-99", ID, f"{ID}-3", "local-0", "local-100", "localhost", ID[:-1], "x")
    assert [places.id_of("/outbox/" + name) for name in names] == ["local"] * 3 + [ID] * 2 + [""] * 5


# Between two users.


MAKE = """
    import sys
    from hf_openobserve.outbox import places
    try:
        print(places.make_destination(sys.argv[1], sys.argv[2]).path)
    except OSError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o1733], ids=oct)
def test_users_share_an_outbox(ground, mode):
    root = ground.make("outbox", 0, mode)
    assert users.done(THEM, MAKE, root, "local") == f"{root}/local\n"
    for _ in range(2):
        found = users.run(US, MAKE, root, "local")
        assert found.stdout == f"{root}/local-1\n"
        assert found.stderr == (
            f"hf-openobserve: {root}/local belongs to another user (uid {THEM}): the outbox is {root}/local-1\n"
        )
    assert stat.S_IMODE((root / "local-1").stat().st_mode) == 0o700
    assert users.done(US, MAKE, root, DESTINATION) == f"{root}/{ID}\n"


@pytest.mark.parametrize("what", ["file", "link", "fifo"])
def test_what_has_the_name_of_our_directory_is_gone_around(ground, what):
    root = ground.make("outbox", 0, 0o1777)
    ground.make("elsewhere", US)
    plant = {"file": "open(p, 'w').close()", "link": "os.symlink(sys.argv[2], p)", "fifo": "os.mkfifo(p)"}[what]
    users.done(THEM, f"import os, sys; p = sys.argv[1] + '/local'; {plant}", root, ground.path / "elsewhere")
    found = users.run(US, MAKE, root, "local")
    assert found.stdout == f"{root}/local-1\n"
    assert found.stderr == f"hf-openobserve: {root}/local is no directory of its own: the outbox is {root}/local-1\n"
    assert list((ground.path / "elsewhere").iterdir()) == []


def test_an_outbox_of_another_user_is_none(ground):
    root = ground.make("outbox", THEM, 0o777)
    assert users.done(US, MAKE, root, "local") == f"RefusedError {root} belongs to another user (uid {THEM})\n"
    assert list(root.iterdir()) == []


def test_a_temporary_place_that_another_user_has_made_is_none(ground):
    # /tmp/hf-openobserve-<uid> can be made by anybody beforehand: its owner could swap what we put into it.
    temporary = ground.make("tmp", 0, 0o1777)
    users.done(
        THEM,
        "import os, sys; os.mkdir(sys.argv[1], 0o777); os.chmod(sys.argv[1], 0o777)",
        temporary / f"hf-openobserve-{US}",
    )
    program = """
        from hf_openobserve.outbox import store
        try:
            print(store.open_store(None, "local", 2**20).directory)
        except OSError as error:
            print(error)
    """
    found = users.done(US, program, env={"HOME": "/nowhere", "TMPDIR": str(temporary)})
    assert found.startswith("there is no home directory; ")
    assert f"belongs to another user (uid {THEM})" in found


def test_root_is_never_led_to_what_the_owner_could_not_reach(ground):
    # A command of root's in a user's outbox, whose directories he swaps for links to root's own.
    theirs, precious = ground.make("outbox", US), ground.make("precious", 0)
    (precious / NAME).write_bytes(b"root's")
    users.done(US, "import os, sys; os.mkdir(sys.argv[1] + '/local')", theirs)
    directory = Directory(str(theirs), None).subdirectory("local", None)
    fd = directory.create(NAME)
    os.close(fd)
    assert (theirs / "local" / NAME).stat().st_uid == US, "what root makes there is the user's"
    os.link(str(precious / NAME), str(theirs / "local" / ("9" + NAME[1:])))
    assert [file.refused for file in directory.files(places.SEGMENTS)][1] == "belongs to another user (uid 0)"
    (theirs / "local").rename(theirs / "away")
    (theirs / "local").symlink_to(precious)
    for step in (lambda: directory.unlink(NAME), lambda: directory.create("x.seg"), lambda: directory.read(NAME)):
        with pytest.raises(OSError):
            step()
    assert [path.name for path in precious.iterdir()] == [NAME]
    assert os.geteuid() == 0
