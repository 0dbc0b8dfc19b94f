"""Clients of PinVault's contracts, one module each: accosa, common, creditplus, hashdt, hosted, issuer, networkintl,
sandbox, thredd.

A module's connect() gives the client that the functions under pinvault.clients.<contract>.api take. Its transport
authorizes, seals and opens messages where the contract encrypts them, repeats what the contract lets be repeated, and
raises what it documents as an error.
"""

from pinvault.errors import ApiError
from pinvault.pin_blocks import pin_block
from pinvault.sealing import MessageKey, TokenKey

__all__ = ["ApiError", "MessageKey", "TokenKey", "pin_block"]
