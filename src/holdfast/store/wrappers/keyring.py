"""Keys for encrypting, and what is done with them: AES-256-GCM by `cryptography` (`pip install 'holdfast[encrypt]'`).

A key is text, `name:base64url of 32 bytes`; several are separated by commas or lines. The first encrypts, all
decrypt: so a new key is put before the old one, which leaves once nothing is encrypted with it any more.

    holdfast store key 2026-11        # or new_key("2026-11") of holdfast.store

A nonce is 96 random bits, which is safe for about 2**32 documents a key: at a thousand a second, change the key
every month. No key is in a repr, an error or a document; a document names its key by name and fingerprint.
"""

import hashlib
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import InvalidOption, Unavailable
from holdfast.store.backends.network import driver
from holdfast.system import system_bytes

__all__ = ("Keyring", "Sealed", "Tampered", "new_key")

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
NAME: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")

RandomBytes = Callable[[int], bytes]


class Tampered(Exception):
    """What was to be decrypted is not what was encrypted for this place; caught by whoever knows the place."""


class Sealed(Struct, frozen=True):
    """Something encrypted: the name and fingerprint of its key, the nonce, and what AES-GCM made of it."""

    key: str
    nonce: str
    data: str


class Keyring:
    """Keys by name; `seal` uses the first. Raises InvalidOption for text that holds no keys, never showing it."""

    def __init__(self, text: str, *, random: RandomBytes = system_bytes) -> None:
        self._aesgcm: Any = driver("cryptography.hazmat.primitives.ciphers.aead", extra="encrypt").AESGCM
        self._random = random
        self._ciphers: dict[str, Any] = {}
        for number, part in enumerate(re.split(r"[,\s]+", text.strip()), 1):
            self._add(part, number)
        self.current = next(iter(self._ciphers))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, each with its fingerprint, the one that encrypts first."""
        return tuple(self._ciphers)

    def seal(self, plain: bytes, place: bytes) -> Sealed:
        """Encrypt something for a place: it is read back there and nowhere else."""
        nonce = self._random(NONCE_BYTES)
        data = self._ciphers[self.current].encrypt(nonce, plain, place)
        return Sealed(self.current, b64encode(nonce).decode(), b64encode(data).decode())

    def unseal(self, sealed: Sealed, place: bytes) -> bytes:
        """Return what was encrypted for this place; raises Tampered, and Unavailable where its key is missing."""
        cipher = self._ciphers.get(sealed.key)
        if cipher is None:
            raise self._missing(sealed.key)
        try:
            plain: bytes = cipher.decrypt(
                b64decode(sealed.nonce, validate=True), b64decode(sealed.data, validate=True), place
            )
        except Exception as error:  # InvalidTag, bad base64, a nonce of another length: all the same here
            raise Tampered from error
        return plain

    def _add(self, part: str, number: int) -> None:
        name, colon, encoded = part.partition(":")
        if not colon or not NAME.fullmatch(name):
            raise InvalidOption(
                "encryption keys are written name:base64url, with a comma between two of them"
            )
        secret = _decoded(encoded)
        if len(secret) != KEY_BYTES:
            # What stands in the name's place may be the secret itself, the other way round.
            raise InvalidOption(
                f"encryption key number {number} is not name:base64url of {KEY_BYTES} bytes", number=number
            )
        called = f"{name}.{_fingerprint(secret)}"
        if any(known.rpartition(".")[0] == name for known in self._ciphers):
            raise InvalidOption(f"there are two encryption keys named {name!r}", key=name)
        self._ciphers[called] = self._aesgcm(secret)

    def _missing(self, called: str) -> Unavailable:
        name = called.rpartition(".")[0]
        ours = [known.rpartition(".")[0] for known in self._ciphers]
        what = (
            "another key of that name was given" if name in ours else f"the keys given are {', '.join(ours)}"
        )
        message = f"encrypted with the key {name!r} ({called}), and {what}: add the key that is missing"
        return Unavailable(message, unknown=False, retryable=False, key_name=name)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._ciphers)})"


def new_key(name: str, *, random: RandomBytes = system_bytes) -> str:
    """Return a new key as text, to be kept as secret as what it is to protect; raises InvalidOption for its name."""
    if not NAME.fullmatch(name):
        raise InvalidOption(f"{name!r} is no name of a key: 1 to 64 of 0-9 A-Z a-z _ . -")
    return f"{name}:{urlsafe_b64encode(random(KEY_BYTES)).decode().rstrip('=')}"


def _decoded(encoded: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Za-z_-]*=*", encoded):
        return b""
    bare = encoded.rstrip("=")
    try:
        return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return b""


def _fingerprint(secret: bytes) -> str:
    # One way, and of 256 random bits: it tells keys apart and helps nobody to find one.
    return hashlib.sha256(b"holdfast key fingerprint\0" + secret).hexdigest()[:12]
