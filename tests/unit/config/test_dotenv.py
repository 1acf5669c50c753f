"""Which ``.env`` counts, and what is read of it. Tests may run as root: owners are pretended through ``os.stat``."""

import logging
import os
import subprocess
import sys

import pytest

from hf_openobserve.config import dotenv

URL = "OPENOBSERVE_URL"


def write(path, text, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, **options)
    return str(path)


def pretend(monkeypatch, path, *, uid=None, gid=None, link=False):
    """Another owner or group of the file at ``path``, or of the link there."""
    name = "lstat" if link else "stat"
    real = getattr(os, name)

    def changed(asked, *args, **kwargs):
        status = real(asked, *args, **kwargs)
        if str(asked) != str(path):
            return status
        fields = list(status)[:10]
        fields[4:6] = (fields[4] if uid is None else uid, fields[5] if gid is None else gid)
        return os.stat_result(fields)

    monkeypatch.setattr(os, name, changed)


@pytest.mark.parametrize(
    ("files", "script_dir", "cwd", "found"),
    [
        pytest.param(["proj/.env"], "proj", "elsewhere", "proj/.env", id="beside-the-script"),
        pytest.param(["work/.env"], "proj", "work", "work/.env", id="in-the-working-directory"),
        pytest.param(["proj/.env", "work/.env"], "proj", "work", "proj/.env", id="script-first"),
        pytest.param(["proj/.env"], None, "proj", "proj/.env", id="no-script"),
        pytest.param(["proj/.env"], "proj", None, "proj/.env", id="no-working-directory"),
        pytest.param(["proj/.env"], None, None, None, id="neither"),
        pytest.param(["p/.env", "p/pyproject.toml"], "p/a/b", None, "p/.env", id="up-to-pyproject"),
        pytest.param(["p/.env", "p/setup.py"], "p/a/b", None, "p/.env", id="up-to-setup.py"),
        pytest.param(["p/.env", "p/.git/HEAD"], "p/a/b", None, "p/.env", id="up-to-git"),
        pytest.param(["p/.env", "p/.git"], "p/a/b", None, "p/.env", id="up-to-git-of-a-worktree"),
        pytest.param(["p/a/.env", "p/.env", "p/.git"], "p/a/b", None, "p/a/.env", id="nearest"),
        pytest.param(["p/.env", "p/a/setup.py"], "p/a/b", None, None, id="never-above-the-project-root"),
        pytest.param(["p/.env"], "p/a", None, None, id="no-project-root-no-climbing"),
        pytest.param(["p/.env", "q/setup.py"], None, "p/a", None, id="parent-of-the-working-directory"),
        pytest.param(["p/.env", "p/.git", "w/.env"], "p/a", "w", "p/.env", id="script's-project-before-cwd"),
        pytest.param(["p/.env.local"], "p", None, None, id="another-name"),
    ],
)
def test_which_file_is_found(tmp_path, files, script_dir, cwd, found):
    for name in files:
        write(tmp_path / name, f"{URL}=http://{name.replace('/', '-')}.example\n")
    for name in filter(None, (script_dir, cwd)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)

    file = dotenv.find(script_dir and str(tmp_path / script_dir), cwd and str(tmp_path / cwd))

    assert file.path == (str(tmp_path / found) if found else "")
    assert file.values == ({URL: f"http://{found.replace('/', '-')}.example"} if found else {})


def test_a_relative_script_directory_is_taken_from_the_working_directory(tmp_path, monkeypatch):
    path = write(tmp_path / ".env", f"{URL}=http://a.example\n")
    monkeypatch.chdir(tmp_path)
    assert dotenv.find("", None).path == path


def test_no_path_is_asked_twice(tmp_path):
    (tmp_path / "setup.py").touch()
    (tmp_path / "a").mkdir()
    asked = list(dotenv.candidates(str(tmp_path / "a"), str(tmp_path)))
    assert asked == [str(tmp_path / "a" / ".env"), str(tmp_path / ".env")]


@pytest.mark.parametrize(
    ("owner", "me", "is_read"),
    [
        pytest.param(1000, 1000, True, id="mine"),
        pytest.param(0, 1000, True, id="root's"),
        pytest.param(1001, 1000, False, id="a-stranger's"),
        pytest.param(1000, 0, False, id="a-user's-when-i-am-root"),
        pytest.param(0, 0, True, id="root's-when-i-am-root"),
    ],
)
def test_the_owner_decides(tmp_path, monkeypatch, owner, me, is_read):
    path = write(tmp_path / ".env", f"{URL}=http://a.example\n")
    pretend(monkeypatch, path, uid=owner)
    pretend(monkeypatch, path, uid=owner, link=True)
    pretend(monkeypatch, tmp_path, uid=me)
    monkeypatch.setattr(os, "getuid", lambda: me, raising=False)

    file = dotenv.find(str(tmp_path), None)

    assert (file.path, file.values) == ((path, {URL: "http://a.example"}) if is_read else ("", {}))
    if is_read:
        assert file.notes == ()
    else:
        assert file.notes == (f"{path} is not read: it belongs to user id {owner}, neither to you nor to root.",)


def test_where_no_owner_can_be_told_the_file_is_read(tmp_path, monkeypatch):
    pretend(monkeypatch, write(tmp_path / ".env", f"{URL}=http://a.example\n"), uid=4711)
    monkeypatch.delattr(os, "getuid")
    assert dotenv.find(str(tmp_path), None).values == {URL: "http://a.example"}


def test_behind_a_stranger_s_file_the_search_goes_on(tmp_path, monkeypatch):
    write(tmp_path / "p" / ".git", "")
    write(tmp_path / "p" / "a" / ".env", f"{URL}=http://stranger.example\n")
    mine = write(tmp_path / "p" / ".env", f"{URL}=http://mine.example\n")
    real = dotenv._refuse_unless_trusted

    def refuse(status):
        if status.st_size == len(f"{URL}=http://stranger.example\n"):
            raise dotenv.Refused("it belongs to somebody")
        real(status)

    monkeypatch.setattr(dotenv, "_refuse_unless_trusted", refuse)

    file = dotenv.find(str(tmp_path / "p" / "a"), None)

    assert (file.path, file.values[URL]) == (mine, "http://mine.example")
    assert len(file.notes) == 1


def make_directory(path):
    path.mkdir()


def make_pipe(path):
    os.mkfifo(str(path))


def make_large(path):
    path.write_text(f"{URL}=http://a.example\n" + "#" * dotenv.MAX_BYTES)


def make_loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize("make", [make_directory, make_pipe, make_large, make_loop])
def test_what_is_no_ordinary_file_is_left_alone_with_a_note(tmp_path, make):
    make(tmp_path / ".env")
    file = dotenv.find(str(tmp_path), None)
    assert (file.path, file.values) == ("", {})
    assert len(file.notes) == 1
    assert file.notes[0].startswith(f"{tmp_path}/.env is not read: ")


def test_an_unreadable_file_is_left_alone_with_a_note(tmp_path, monkeypatch):
    path = write(tmp_path / ".env", f"{URL}=http://a.example\n")

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)
    assert dotenv.find(str(tmp_path), None).notes == (f"{path} is not read: Permission denied.",)


def test_a_file_replaced_between_check_and_reading_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / ".env", f"{URL}=http://mine.example\n")
    other = write(tmp_path / "other", f"{URL}=http://stranger.example\n")
    real = os.open

    def replace_and_open(name, *args, **kwargs):
        os.replace(other, path)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", replace_and_open)
    with pytest.raises(dotenv.Refused, match="replaced"):
        dotenv.read(path)


WRITABLE = "{file} is not read: other users can write to it; chmod go-w {file}."
REPLACEABLE = "{file} is not read: other users can replace it; chmod go-w {directory}."


@pytest.mark.parametrize(
    ("mode", "directory_mode", "line"),
    [
        (0o600, 0o700, ""),
        (0o644, 0o755, ""),
        (0o640, 0o750, ""),
        (0o664, 0o755, WRITABLE),
        (0o620, 0o755, WRITABLE),
        (0o646, 0o755, WRITABLE),
        (0o666, 0o755, WRITABLE),
        (0o644, 0o775, ""),  # by umask 002, and the group is the user's own
        (0o644, 0o777, REPLACEABLE),
        (0o644, 0o757, REPLACEABLE),
        (0o644, 0o1777, ""),
        (0o666, 0o1777, WRITABLE),
    ],
)
def test_what_others_can_change_is_not_read_and_said(tmp_path, mode, directory_mode, line):
    path = write(tmp_path / "p" / ".env", f"{URL}=http://a.example\n")
    os.chmod(path, mode)
    (tmp_path / "p").chmod(directory_mode)
    file = dotenv.find(str(tmp_path / "p"), None)
    assert (file.path, file.notes) == ("" if line else path, ())
    assert file.problems == ((line.format(file=path, directory=tmp_path / "p"),) if line else ())


@pytest.mark.parametrize(
    ("owner", "line"),
    [
        (
            {"uid": 4711},
            "{file} is not read: its directory {directory} belongs to user id 4711, neither to you nor to root.",
        ),
        ({"gid": 4711}, REPLACEABLE),
    ],
)
def test_a_directory_of_others(tmp_path, monkeypatch, owner, line):
    path = write(tmp_path / ".env", f"{URL}=http://a.example\n")
    tmp_path.chmod(0o775)
    pretend(monkeypatch, tmp_path, **owner)
    assert dotenv.find(str(tmp_path), None).problems == (line.format(file=path, directory=tmp_path),)


def test_one_that_names_none_of_our_variables_is_nobody_s_matter(tmp_path):
    path = write(tmp_path / ".env", "DJANGO_DEBUG=1\n")
    os.chmod(path, 0o666)
    assert dotenv.find(str(tmp_path), None).problems == ()


def test_behind_a_link_the_file_s_own_directory_counts_too(tmp_path):
    real = write(tmp_path / "shared" / "real", f"{URL}=http://a.example\n")
    link = tmp_path / "p" / ".env"
    link.parent.mkdir()
    link.symlink_to(real)
    (tmp_path / "shared").chmod(0o777)
    assert dotenv.find(str(link.parent), None).problems == (
        REPLACEABLE.format(file=link, directory=tmp_path / "shared"),
    )


def test_a_link_that_another_user_has_made_is_not_followed(tmp_path, monkeypatch):
    real = write(tmp_path / "real", f"{URL}=http://a.example\n")
    link = tmp_path / "p" / ".env"
    link.parent.mkdir()
    link.symlink_to(real)
    pretend(monkeypatch, link, uid=os.getuid() + 1, link=True)
    (line,) = dotenv.find(str(link.parent), None).problems
    assert line == f"{link} is not read: it is a link that another user has made."


def test_a_link_to_a_file_of_mine_is_read(tmp_path):
    write(tmp_path / "real", f"{URL}=http://a.example\n")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    assert dotenv.find(str(tmp_path), None).values == {URL: "http://a.example"}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("OPENOBSERVE_AUTH_TOKEN=Basic bm9ib2R5Om5vdGhpbmc=", {"OPENOBSERVE_AUTH_TOKEN": "Basic bm9ib2R5Om5vdGhpbmc="}),
        ('OPENOBSERVE_AUTH_TOKEN="Basic bm9i"', {"OPENOBSERVE_AUTH_TOKEN": "Basic bm9i"}),
        ("OPENOBSERVE_AUTH_TOKEN='Basic bm9i'", {"OPENOBSERVE_AUTH_TOKEN": "Basic bm9i"}),
        ("export OPENOBSERVE_ORG=acme", {"OPENOBSERVE_ORG": "acme"}),
        ("OPENOBSERVE_ORG = acme", {"OPENOBSERVE_ORG": "acme"}),
        ("OPENOBSERVE_ORG=acme # ours", {"OPENOBSERVE_ORG": "acme"}),
        ("OPENOBSERVE_AUTH_TOKEN=nobody:pass#word", {"OPENOBSERVE_AUTH_TOKEN": "nobody:pass#word"}),
        ("OPENOBSERVE_ORG=one\nOPENOBSERVE_ORG=two", {"OPENOBSERVE_ORG": "two"}),
        ("OPENOBSERVE_ORG=one\r\nOPENOBSERVE_HF_DEBUG=1\r\n", {"OPENOBSERVE_ORG": "one", "OPENOBSERVE_HF_DEBUG": "1"}),
        ("OPENOBSERVE_ORG=", {"OPENOBSERVE_ORG": ""}),
        ("OPENOBSERVE_ORG", {}),
        ("# OPENOBSERVE_ORG=acme", {}),
        ("HF_TOKEN=hf_fake\nOTEL_SDK_DISABLED=true\nPATH=/nowhere", {}),
        ("MY_OPENOBSERVE_ORG=acme", {}),
        ("openobserve_org=acme", {}),
        # Neither the file's own names nor the environment's are put in.
        ("HOST=evil\nOPENOBSERVE_URL=http://${HOST}/${HF_TOKEN}", {URL: "http://${HOST}/${HF_TOKEN}"}),
        # What cannot be parsed keeps its text, so that the check of the setting speaks. Other lines are not touched.
        ('OPENOBSERVE_URL="http://a\nOPENOBSERVE_ORG=acme', {URL: '"http://a', "OPENOBSERVE_ORG": "acme"}),
        ("\n\nexport OPENOBSERVE_URL='http://a\n", {URL: "'http://a"}),
        ('SECRET="never closed\nOPENOBSERVE_ORG=acme', {"OPENOBSERVE_ORG": "acme"}),
        (
            'SECRET="never closed\nOPENOBSERVE_ORG="acme"\nOPENOBSERVE_HF_DEBUG=1',
            {"OPENOBSERVE_ORG": '"acme"', "OPENOBSERVE_HF_DEBUG": "1"},
        ),
        ("", {}),
    ],
)
def test_what_is_read_of_a_file(tmp_path, line, values):
    path = str(tmp_path / ".env")
    with open(path, "w", newline="") as file:
        file.write(line)
    assert dotenv.read(path) == values


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = write(tmp_path / ".env", "OPENOBSERVE_ORG=acme\n", encoding="utf-8-sig")
    assert dotenv.read(path) == {"OPENOBSERVE_ORG": "acme"}


def test_a_comment_in_another_encoding_does_not_spoil_the_settings(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"# gr\xfc\xdfe\nOPENOBSERVE_ORG=acme\n")
    assert dotenv.read(str(path)) == {"OPENOBSERVE_ORG": "acme"}


def test_reading_writes_to_nothing_of_the_host_s(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_fake_of_the_environment")
    path = write(tmp_path / ".env", 'OPENOBSERVE_ORG=acme\nBAD="x\n=\nOPENOBSERVE_URL="y\nHF_TOKEN=other\n')
    before = dict(os.environ)
    with caplog.at_level(logging.DEBUG):
        assert set(dotenv.read(path)) == {"OPENOBSERVE_ORG", URL}
    assert dict(os.environ) == before
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_missing_python_dotenv_is_a_note(tmp_path, monkeypatch):
    path = write(tmp_path / ".env", "OPENOBSERVE_ORG=acme\n")
    monkeypatch.setitem(sys.modules, "dotenv.parser", None)
    notes = dotenv.find(str(tmp_path), None).notes
    assert notes == (f"{path} is not read: the package python-dotenv is not installed.",)


def test_python_dotenv_is_imported_for_settings_of_ours_only(tmp_path):
    write(tmp_path / "theirs" / ".env", "DJANGO_DEBUG=1\n")
    write(tmp_path / "ours" / ".env", "OPENOBSERVE_ORG=acme\n")
    program = (
        "import sys; from hf_openobserve.config import dotenv as d\n"
        f"d.find({str(tmp_path / 'theirs')!r}, None); print('dotenv' in sys.modules)\n"
        f"d.find({str(tmp_path / 'ours')!r}, None); print('dotenv' in sys.modules)\n"
    )
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    output = subprocess.run(
        [sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, check=True, timeout=60
    )
    assert output.stdout.split() == [b"False", b"True"]
