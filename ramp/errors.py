"""Every error the product raises on purpose, as one tree. The wire's statuses are mapped in services/common/errors.py.

What is caught with what:

    RampError
    ├── Invalid        the input is wrong: names the field, the value and the remedy; nothing was stored
    │   └── Conflict   the same id was used before with other content
    ├── NotFound       the named thing does not exist
    ├── Corrupt        a checksum disagrees: bytes on disk or weights are not what was written
    ├── Full           no space: appends are refused, reads go on
    │   └── OverQuota  more than this client may use now: nothing was stored; names when to come again
    ├── Unauthenticated  no token, a wrong, revoked or expired one, or certificates that do not fit
    ├── Denied         the token's role may not do this
    ├── Unavailable    a service does not answer; retrying may help
    └── Timeout        a deadline passed; retrying may help
"""

from __future__ import annotations


class RampError(Exception):
    """Base of every error raised on purpose."""


class Invalid(RampError, ValueError):
    """Wrong input.

    Example: Invalid("action", "nan at step 17", "send finite numbers within [-1, 1]")
    """

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}: {value}; {remedy}")
        self.field, self.value, self.remedy = field, str(value), remedy

    def __reduce__(self) -> tuple[type[Invalid], tuple[str, str, str]]:
        """An actor's refusal crosses to the conductor with all its parts."""
        return type(self), (self.field, self.value, self.remedy)


class Conflict(Invalid):
    """The same id was used before with other content."""


class NotFound(RampError, LookupError):
    """The named thing does not exist."""


class Corrupt(RampError):
    """A checksum disagrees."""


class Full(RampError):
    """No space left: appends are refused, reads go on."""


class OverQuota(Full):
    """More than this client may use now; nothing was stored.

    Example: OverQuota("mib_s", "64 MiB/s of robot arm-7", "send less, or raise its quota", 0.8)
    """

    def __init__(self, field: str, value: object, remedy: str, retry_after_s: float) -> None:
        """Come again after `retry_after_s` seconds."""
        super().__init__(f"{field}: {value}; {remedy}; come again in {retry_after_s:.2g} s")
        self.field, self.value, self.remedy, self.retry_after_s = field, str(value), remedy, retry_after_s

    def __reduce__(self) -> tuple[type[OverQuota], tuple[str, str, str, float]]:
        return type(self), (self.field, self.value, self.remedy, self.retry_after_s)


class Unauthenticated(RampError):
    """No token, a wrong, revoked or expired one, or certificates that do not fit."""


class Denied(RampError):
    """The token's role may not do this."""


class Unavailable(RampError):
    """A service does not answer; retrying may help."""


class Timeout(RampError, TimeoutError):
    """A deadline passed; retrying may help."""
