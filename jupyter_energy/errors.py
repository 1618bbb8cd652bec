"""The exceptions of this package.

```
EnergyError                 anything of ours; never reaches the user's cell
├── SensorError             a sensor gave no reading; str() is the reason
│   ├── SensorAbsent        there is no such sensor here
│   ├── SensorDenied        the operating system refuses to let this user read it
│   └── SensorTimeout       a driver did not answer before the deadline
├── ProviderError           a service gave no carbon intensity; str() is the reason
├── StoreError              the store could not be opened, read or written
├── WrongUse                the user asked for what cannot be; str() says what would
│   ├── UnknownZone         a zone that no table of ours knows
│   └── NoSuchNotebook      a file that does not exist or is no notebook
└── MeasuredCodeFailed      the code that was measured failed; the exit status is 1
```
"""


class EnergyError(Exception):
    """Anything that goes wrong on our side."""


class SensorError(EnergyError):
    """A sensor gave no reading; the text is the reason shown to the user.

    `remedy` is the one thing to do about it, in words, where there is one.
    """

    def __init__(self, *args: object, remedy: str | None = None) -> None:
        super().__init__(*args)
        self.remedy = remedy


class SensorAbsent(SensorError):
    """There is no such sensor on this machine."""


class SensorDenied(SensorError):
    """The operating system does not let this user read the sensor."""


class SensorTimeout(SensorError):
    """A driver did not answer before the deadline."""


class ProviderError(EnergyError):
    """A provider of carbon intensity gave none; the text is the reason shown to the user.

    `kind`: "no token" (it was not asked), "denied" (401), "forbidden" (403), "limited" (429),
    "failed" (5xx), "refused" (any other status), "timeout", "unreachable" (no such name, no
    connection), "garbage" (an answer that is none) or "empty" (an answer without a value).
    `retry_after_s` is what the service asked for, `remedy` the one thing to do, in words, where
    there is one. No text ever holds a token.
    """

    def __init__(
        self,
        text: str,
        kind: str,
        retry_after_s: float | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.remedy = remedy


class StoreError(EnergyError):
    """The store could not be opened, read or written.

    `kind`: "busy" (another try may work), "full", "damaged", "foreign" (another program's file),
    "forked" (a forked process only reads), "locks" (of the file system, which do not work), "newer"
    (a version of ours that changed the file), "read-only" or "unusable".
    """

    def __init__(self, text: str, kind: str = "unusable") -> None:
        super().__init__(text)
        self.kind = kind


class Loss(str):
    """A line for the user of records that are lost, or may be."""


def topic_of(told: str) -> str:
    """The topic of a line about the store (`Monitor.tell`): each loss has its own, of whichever
    file; by all else nothing is lost, and one line of it is enough."""
    return f"store: {told.partition(';')[0]}" if isinstance(told, Loss) else "store"


class WrongUse(EnergyError):
    """The user asked for something that cannot be; the text says what would be right."""


class UnknownZone(WrongUse):
    """A zone that no table of ours knows."""


class NoSuchNotebook(WrongUse):
    """A file that does not exist, or is no notebook."""


class MeasuredCodeFailed(EnergyError):
    """The code that was measured failed."""
