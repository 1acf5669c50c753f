"""An outbox that other users can write to: whatever one puts there, the other's spans arrive, and nothing hangs."""

from __future__ import annotations

import json
import time

import pytest

import harness
import users
from hf_openobserve.outbox import places
from scripted import Reply, ScriptedEndpoint, chat_body
from users import THEM, US

CALLS = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
for _ in range(3):
    client.chat.completions.create(
        model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi"}], max_tokens=8)
print("done")
"""
COMMAND = "import sys; from hf_openobserve.cli import main; sys.exit(main())"
NAME = "00000000000000000001-1-abcdef01.seg"
A_SEGMENT = """
    from hf_openobserve.outbox import store
    left = store.DirectoryStore(sys.argv[1], sys.argv[2], 2**26)
    left.append(1, b"theirs")
    left.seal()
    os.chmod(left.directory, 0o777)
"""
# What the other user makes: in the outbox (p), under the name of our destination (d), of any destination (o), or in
# our own directory (d) while that is open to all.
BESIDE = {
    "a sparse file as large as the disk": "os.mkdir(o); open(f'{o}/{n}', 'wb').truncate(2**40)",
    "many sparse files within the bound": """os.mkdir(o)
        for i in range(9): open(f'{o}/{n[:-5]}{i}.seg', 'wb').truncate(2**27)""",
    "a fifo": "os.mkdir(o); os.mkfifo(f'{o}/{n}')",
    "a fifo beside the directories": "os.mkfifo(f'{p}/{n}')",
    "a segment beside the directories": "open(f'{p}/{n}', 'wb').write(b'x')",
    "a link to all files": "os.symlink('/', o)",
}
IN_OUR_NAME = {
    "their directory": A_SEGMENT,
    "their open directory with a fifo": "os.mkdir(d); os.chmod(d, 0o777); os.mkfifo(f'{d}/{n}')",
    "a link to their directory": "os.mkdir(p + '/x', 0o777); os.symlink(p + '/x', d)",
}
IN_OUR_DIRECTORY = {
    "a fifo": "os.mkfifo(f'{d}/{n}')",
    "a fifo for what is refused": "os.mkfifo(f'{d}/rejected')",
    "a sparse file": "open(f'{d}/{n}', 'wb').truncate(3 * 2**30)",
    "a sparse file within the bound": "open(f'{d}/{n}', 'wb').truncate(2**27)",
    "a link": "os.symlink('/dev/zero', f'{d}/{n}')",
}


def plant(user, what, root, destination):
    identifier = places.destination_id(destination)
    program = (
        f"import os, sys\np = sys.argv[1]\nd = p + '/{identifier}'\no = p + '/{'0123456789abcdef'}'\nn = {NAME!r}\n"
    )
    users.done(user, program + "\n".join(line.strip() for line in what.splitlines()), root, destination)


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as scripted:
        yield scripted


@pytest.fixture
def shared(ground):
    return ground.make("outbox", 0, 0o1777)


@pytest.fixture
def env(ground, shared, endpoint):
    return ground.environment(
        US,
        HF_BASE_URL=endpoint.url,
        OPENAI_API_KEY="x",
        OPENOBSERVE_HF_OUTBOX_DIR=str(shared),
        OPENOBSERVE_HF_EXIT_TIMEOUT_S="20",
        NO_PROXY="127.0.0.1",
    )


def program(env):
    """Three calls under the agent; how long its end took is bounded by its time as a whole."""
    before = time.monotonic()
    done = users.run(US, CALLS, env={**env, "PYTHONPATH": str(harness.BOOTSTRAP)})
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert time.monotonic() - before < 30
    return done.stderr


def command(*arguments, env, user=US):
    return users.run(user, COMMAND, *arguments, env=env, timeout=30)


def calls(env, *arguments, user=US):
    return json.loads(command("report", "--json", *arguments, env=env, user=user).stdout)["total"]["calls"]


@pytest.mark.parametrize("what", list(BESIDE))
def test_what_stands_beside_ours_is_no_matter(env, shared, openobserve, what):
    plant(THEM, BESIDE[what], shared, "local")
    assert program(env) == ""
    assert calls(env) == 3
    assert program({**env, **openobserve.environment}) == ""
    assert len(openobserve.wait_for_rows(3)) == 3
    shipped = command("ship", env={**env, **openobserve.environment})
    assert (shipped.returncode, len(openobserve.wait_for_rows(6))) == (0, 6), shipped.stderr
    assert calls({**env, **openobserve.environment}) == 0


@pytest.mark.parametrize("what", list(IN_OUR_NAME))
def test_what_has_our_name_is_said_once_and_gone_around(env, shared, openobserve, what):
    plant(THEM, IN_OUR_NAME[what], shared, "local")
    # Nothing of ours is there yet, and what is there is not ours to read: that is not an empty outbox.
    for name in ("outbox", "report", "ship"):
        found = command(name, env={**env, **openobserve.environment})
        assert found.returncode == 1
        assert f"{shared}/local " in found.stderr
        assert "Nothing waits" not in found.stdout
    said = program(env)
    assert said.startswith(f"hf-openobserve: {shared}/local ")
    assert said.count("\n") == 1
    assert (shared / "local-1").stat().st_uid == US
    found = command("report", "--json", "--dir", shared, env=env)
    assert (found.returncode, json.loads(found.stdout)["total"]["calls"]) == (0, 3)
    assert f"left alone: {shared}/local " in found.stderr
    shipped = command("ship", env={**env, **openobserve.environment})
    assert (shipped.returncode, len(openobserve.wait_for_rows(3))) == (0, 3), shipped.stderr


@pytest.mark.parametrize("what", list(IN_OUR_DIRECTORY))
def test_what_was_put_into_our_directory_is_said_and_left_alone(env, shared, openobserve, what):
    assert program(env) == ""
    (shared / "local").chmod(0o777)
    plant(THEM, IN_OUR_DIRECTORY[what], shared, "local")
    assert program(env) == ""
    for name in ("outbox", "report"):
        found = command(name, "--json", env=env)
        assert found.returncode == 1
        assert found.stderr.count("cannot read") == 1
    assert calls(env) == 6
    shipped = command("ship", env={**env, **openobserve.environment})
    assert shipped.returncode == 1
    assert "cannot read" in shipped.stderr
    assert len(openobserve.wait_for_rows(6)) == 6


def test_each_user_ships_his_own_and_root_everybodys(env, ground, shared, openobserve):
    theirs = {**env, **ground.environment(THEM)}
    for user, its in ((US, env), (THEM, theirs)):
        done = users.run(user, CALLS, env={**its, "PYTHONPATH": str(harness.BOOTSTRAP)})
        assert done.returncode == 0
    assert sorted((path.name, path.stat().st_uid) for path in shared.iterdir()) == [("local", US), ("local-1", THEM)]
    shipped = command("ship", env={**theirs, **openobserve.environment}, user=THEM)
    assert (shipped.returncode, len(openobserve.wait_for_rows(3))) == (0, 3), shipped.stderr
    assert calls(env) == 3, "only its own"
    done = users.run(THEM, CALLS, env={**theirs, "PYTHONPATH": str(harness.BOOTSTRAP)})
    assert done.returncode == 0
    shipped = command("ship", "--dir", shared, env={**env, **openobserve.environment}, user=0)
    assert (shipped.returncode, len(openobserve.wait_for_rows(9))) == (0, 9), shipped.stderr
    for name, owner in (("local", US), ("local-1", THEM)):
        assert [path.name for path in (shared / name).iterdir()] == ["counters.json"]
        assert (shared / name / "counters.json").stat().st_uid == owner, "what root writes there is the user's"


@pytest.mark.parametrize("swapped_for", ["root's directory", "a file of root's"])
def test_root_ships_nothing_that_its_user_has_led_it_to(env, ground, openobserve, swapped_for):
    precious = ground.make("precious", 0)
    (precious / NAME).write_bytes(b"root's")
    theirs = ground.make("theirs", US)
    what = {
        "root's directory": "os.symlink(sys.argv[2], sys.argv[1] + '/local')",
        "a file of root's": "os.mkdir(sys.argv[1] + '/local'); "
        "os.symlink(sys.argv[2] + '/' + sys.argv[3], sys.argv[1] + '/local/' + sys.argv[3])",
    }[swapped_for]
    users.done(US, "import os, sys; " + what, theirs, precious, NAME)
    shipped = command("ship", "--dir", theirs, env={**env, **openobserve.environment}, user=0)
    assert (shipped.returncode, [path.name for path in precious.iterdir()]) == (1, [NAME])
    assert "cannot read" in shipped.stderr
