"""Find the one ``.env`` file that counts, and read the ``OPENOBSERVE_*`` lines of it.

It may be a stranger's, in a directory that the program merely was started in: only the user's or root's regular file is
read, which nobody else can change or replace, no further up than the project's root. ``${NAME}`` is left as it stands,
since a URL such as ``https://evil.example/${HF_TOKEN}`` would carry the environment's secrets away.
"""

from __future__ import annotations

import io
import os
import re
import stat
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from hf_openobserve.process import diagnostics

PREFIX = "OPENOBSERVE_"
FILE_NAME = ".env"
ROOT_MARKERS = ("pyproject.toml", "setup.py", ".git")
MAX_BYTES = 256 * 1024
"""A larger file is no list of settings, and reading it would be felt by the program."""

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?(OPENOBSERVE_\w+)[ \t]*=[ \t]*(.*)$", re.ASCII | re.MULTILINE)


class DotenvFile(NamedTuple):
    """What was read: ``path`` is empty where no file counted."""

    path: str = ""
    values: Mapping[str, str] = {}
    problems: Tuple[str, ...] = ()
    """Lines for stderr: settings that the user has written are not read, and how that is mended."""
    notes: Tuple[str, ...] = ()
    """Lines that say which other files do not count, and why."""


class Refused(Exception):  # noqa: N818 - a decision, not a failure
    """A file that exists and is not read; the text says why, as the end of a sentence that begins with the path."""


class Changeable(Refused):
    """A file with settings of ours that other users can change or replace."""


def find(script_dir: Optional[str], cwd: Optional[str]) -> DotenvFile:
    """Read the first ``.env`` of the script's directory and the working directory, each up to its project root."""
    problems: List[str] = []
    notes: List[str] = []
    for path in candidates(script_dir, cwd):
        try:
            return DotenvFile(path, read(path), tuple(problems), tuple(notes))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, Refused) as error:
            diagnostics.pass_the_programs_own()
            lines = problems if isinstance(error, Changeable) else notes
            lines.append(f"{path} is not read: {reason(error)}.")
    return DotenvFile(problems=tuple(problems), notes=tuple(notes))


def candidates(script_dir: Optional[str], cwd: Optional[str]) -> Iterator[str]:
    """Paths in the order they are asked, existing or not, each once."""
    seen: Set[str] = set()
    for start in (script_dir, cwd):
        if start is None:
            continue
        for directory in _up_to_project_root(start):
            if directory not in seen:
                seen.add(directory)
                yield os.path.join(directory, FILE_NAME)


def read(path: str) -> Dict[str, str]:
    """``OPENOBSERVE_*`` names and values of one file; the last of two equal names counts.

    Lines that cannot be parsed (a quote that is not closed, and all that it swallows) yield their text as it stands, so
    that the check of the setting finds it wrong: left out, a default would silently take its place.

    :raises OSError: the file is missing or cannot be read
    :raises Refused: it must not be read, or python-dotenv is missing
    """
    text = _text_of(path)
    if PREFIX not in text:
        return {}
    _refuse_if_changeable(path)
    try:
        # Not `dotenv_values`: that logs a warning for each bad line, which reaches stderr through the host's `logging`.
        from dotenv.parser import parse_stream
    except ImportError:
        raise Refused("the package python-dotenv is not installed") from None
    values: Dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            values.update(_ASSIGNMENT.findall(binding.original.string))
        elif binding.key is not None and binding.key.startswith(PREFIX) and binding.value is not None:
            values[binding.key] = binding.value
    return values


def reason(error: Exception) -> str:
    """Why a file was not read, without its path: the sentence around it has that already."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _up_to_project_root(start: str) -> List[str]:
    try:
        directory = os.path.abspath(start)
    except OSError:  # a relative path, and the working directory has been deleted
        return []
    directories = [directory]
    while not any(os.path.exists(os.path.join(directory, marker)) for marker in ROOT_MARKERS):
        parent = os.path.dirname(directory)
        if parent == directory:
            return directories[:1]
        directory = parent
        directories.append(directory)
    return directories


def _text_of(path: str) -> str:
    checked = os.stat(path)
    _refuse_unless_trusted(checked)
    # Not blocking, and compared again once open: what stands at the path may have been replaced, by a pipe for example.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not os.path.samestat(checked, os.fstat(descriptor)):
            raise Refused("it was replaced while it was being opened")
        return file.read(MAX_BYTES).decode("utf-8-sig", "surrogateescape")


def _refuse_unless_trusted(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused("it is not a regular file")
    if not _is_mine(status):
        raise Refused(f"it belongs to user id {status.st_uid}, neither to you nor to root")
    if status.st_size > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES // 1024} KiB")


def _is_mine(status: os.stat_result) -> bool:
    """Also root's; and everybody's where no number tells the owner (Windows)."""
    getuid = getattr(os, "getuid", None)
    return getuid is None or status.st_uid in (getuid(), 0)


def _refuse_if_changeable(path: str) -> None:
    """Refuse a file that others can write to, or can put in the place of another: by its directory, or by a link."""
    if not hasattr(os, "getuid"):
        return
    real = os.path.realpath(path)
    if os.stat(real).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Changeable(f"other users can write to it; chmod go-w {real}")
    if not _is_mine(os.lstat(path)):
        raise Changeable("it is a link that another user has made")
    for directory in {os.path.dirname(os.path.abspath(path)), os.path.dirname(real)}:
        status = os.stat(directory)
        if not _is_mine(status):
            raise Changeable(
                f"its directory {directory} belongs to user id {status.st_uid}, neither to you nor to root"
            )
        # With umask 002 a user's own group can write to all his directories, and it has no other member.
        others = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid not in (os.getgid(), 0) else 0)
        if status.st_mode & others and not status.st_mode & stat.S_ISVTX:
            raise Changeable(f"other users can replace it; chmod go-w {directory}")
