"""What every contract's errors have in common."""

from typing import Any


class ApiError(Exception):
    """A reply that the contract documents as an error, or one with a status of 400 and above."""

    def __init__(self, status: int, code: str, text: str, advice: str, body: Any, retry_after: int | None = None) -> None:
        super().__init__(": ".join(part for part in (f"{status} {code}", text, advice) if part))
        self.status = status
        self.code = code
        """The contract's own code, else the status as text: what the contract's Code lists."""
        self.text = text
        """What the reply says."""
        self.advice = advice
        """What the document says one should do about it, "" for a code that it does not have."""
        self.body = body
        """The reply's JSON, opened where it was sealed; None where it is none."""
        self.retry_after = retry_after
        """After how many seconds to try again (Retry-After), None where the reply does not say. The call was not repeated
        where that is longer than it waits for by itself."""
