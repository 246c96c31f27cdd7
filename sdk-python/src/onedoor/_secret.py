"""Text that does not print."""

from __future__ import annotations

import re

from onedoor.errors import NotConfigured


class Hidden(str):
    """A string that every way of printing shows as a placeholder.

    gRPC encodes it as what it is. Error reporters that show the variables of each frame
    print them by repr, and so find nothing.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "[task key]"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "[task key]"

    def __reduce_ex__(self, _protocol: object) -> str:
        raise TypeError("a task key is not to be pickled")


def hide(text: str | None) -> Hidden | None:
    """Hides a text, whatever it is. It is done before anything can go wrong: what was meant
    to be a key and is refused mostly holds one."""
    return Hidden(text) if text else None


def task_key(text: Hidden, source: str) -> Hidden:
    """Checks and hides a task key; `source` says in errors where it came from.

    A stray quote or newline of an environment file must not become a puzzling refusal.
    Whether the key is one is for the broker to say.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", text):
        raise NotConfigured(f"the task key ({source}) holds something other than letters, digits and _")
    return text
