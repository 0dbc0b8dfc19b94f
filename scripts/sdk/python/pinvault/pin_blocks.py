"""PIN blocks of ISO 9564-1 as the issuer API and Network International take them."""

import re
import secrets
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HEX = "0123456789ABCDEF"


def account(pan: str) -> str:
    """The account field of formats 0 and 3: the 12 rightmost digits of the PAN without its check digit."""
    return pan[-13:-1].rjust(16, "0")


def whole_pan(pan: str) -> str:
    """The field of format 4: how many digits the PAN has beyond 12, and all of them."""
    return (str(len(pan) - 12) + pan).ljust(32, "0")


class Format(NamedTuple):
    control: str
    pad: str  # fills up to 16 hexadecimal digits
    drawn: str  # what is drawn fills up to size
    size: int
    pan_field: Callable[[str], str] | None


FORMATS = {
    "ISO-0": Format("0", "F", "", 16, account),
    "ISO-1": Format("1", "", HEX, 16, None),
    "ISO-3": Format("3", "", "ABCDEF", 16, account),
    "ISO-4": Format("4", "A", HEX, 32, whole_pan),
}


def pin_block(format_name: str, hex_key: str, pan: str, pin: str, fill: str | None = None) -> str:
    """The encrypted PIN block in upper-case hexadecimal.

    It has 16 digits under a TDES key of 16 or 24 bytes (formats 0, 1 and 3), 32 under an AES key (format 4).
    The fill, what a format draws at random, is given by tests alone.
    """
    control, pad, drawn, size, pan_field = FORMATS[format_name]
    if not re.fullmatch("[0-9]{4,12}", pin):
        raise ValueError("a PIN has 4 to 12 digits")
    if pan_field and not re.fullmatch("[0-9]{12,19}", pan):
        raise ValueError("a PAN has 12 to 19 digits")
    field = f"{control}{len(pin):X}{pin}"
    if pad:
        field = field.ljust(16, pad)
    if fill is None:
        fill = "".join(secrets.choice(drawn) for _ in range(size - len(field)))
    key = bytes.fromhex(hex_key)
    block = bytes.fromhex(field + fill)
    if format_name == "ISO-4":
        block = encrypt(key, block)
    if pan_field:
        block = bytes(a ^ b for a, b in zip(block, bytes.fromhex(pan_field(pan)), strict=True))
    return encrypt(key, block).hex().upper()


def encrypt(key: bytes, block: bytes) -> bytes:
    """One block under the cipher whose blocks are as long."""
    cipher = algorithms.AES(key) if len(block) == 16 else TripleDES((key + key[:8])[:24])
    encryptor = Cipher(cipher, modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()
