"""Whether the files that TLS needs can be used: what is wrong is said with the variable that named the file.

``requests`` and ``ssl`` name at best the file. An encrypted key makes OpenSSL ask the terminal for its passphrase, and
a pipe in the place of a file makes it wait for ever.
"""

from __future__ import annotations

import os
import ssl
import stat
from typing import TYPE_CHECKING

from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.config.destination import Destination

_MAX_KEY_BYTES = 1024 * 1024


def fault(destination: Destination) -> str:
    """The first file that is missing or cannot be used, in a sentence; empty if there is none."""
    authorities = destination.tls.authorities
    client, key = destination.tls.client_certificate, destination.tls.client_key
    directories = (destination.tls.directories or "").split(os.pathsep)
    if authorities:
        wrong = _not_readable(authorities, directory_too=True)
        if wrong:
            return _sentence(destination, authorities, wrong)
    if destination.tls.directories and not any(map(os.path.isdir, directories)):
        return _sentence(destination, destination.tls.directories, "is no directory")
    for path in filter(None, (client, client and key)):
        wrong = _not_readable(path)
        if wrong:
            return _sentence(destination, path, wrong)
    secret = client and (key or client)
    if secret and _is_encrypted(secret):
        return _sentence(destination, secret, "holds a key with a passphrase, and nobody is there to type it")
    return ""


def unusable(destination: Destination) -> str:
    """As ``fault``, and the files are tried: asked once TLS has failed, since a bundle takes a while to read."""
    found = fault(destination)
    if found:
        return found
    authorities, client = destination.tls.authorities, destination.tls.client_certificate
    if authorities and not os.path.isdir(authorities):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authorities)
        except (OSError, ValueError):
            diagnostics.pass_the_programs_own()
            return _sentence(destination, authorities, "holds no certificate of an authority")
    if client:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(client, destination.tls.client_key)
        except (OSError, ValueError):
            diagnostics.pass_the_programs_own()
            return _sentence(destination, client, "holds no certificate that fits its private key")
    return ""


def _sentence(destination: Destination, path: str, wrong: str) -> str:
    variable = destination.tls.variables.get(path, "a variable")
    return f"{variable} names {path}, which {wrong}; name a file of PEM, or unset it"


def _not_readable(path: str, *, directory_too: bool = False) -> str:
    """What is wrong, as the end of a sentence. Only a regular file is opened."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode) and directory_too:
            return ""
        if not stat.S_ISREG(mode):
            return "is not a file"
        with open(path, "rb"):
            return ""
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as error:
        diagnostics.pass_the_programs_own()
        return f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"


def _is_encrypted(path: str) -> bool:
    with open(path, "rb") as file:
        return b"ENCRYPTED" in file.read(_MAX_KEY_BYTES)
