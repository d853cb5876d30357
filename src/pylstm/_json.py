"""JSON, imported when it is first used: it would be a third of the time of `import pylstm`."""

from __future__ import annotations

from typing import Any


def dumps(value: Any) -> str:
    """`value` as strict JSON.

    Raises:
        ValueError: a number that is not finite.
    """
    import json

    return json.dumps(value, allow_nan=False)


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    import json

    return json.loads(text)
