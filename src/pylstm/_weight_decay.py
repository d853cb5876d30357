"""Which variables an optimizer's weight decay leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pylstm import _checks

if TYPE_CHECKING:
    from pylstm._core import Network


class Decaying:
    """Base of the optimizers; remembers which variables do not decay."""

    _excluded: tuple[frozenset[str], tuple[str, ...]] = frozenset(), ()  # paths, expressions
    _last: Network | None

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Let `weight_decay` leave variables alone; a second call replaces the first.

        Args:
            var_list: Variables of the model, such as `model.layers[0].weights`; or None.
            var_names: Regular expressions that are looked for in the name of each variable, the
                last part of its path: ["bias", "embeddings"]; or None.

        Raises:
            TypeError: not a list of variables or of strings.
            ValueError: no regular expression, or a model is built with the optimizer already.

        >>> from pylstm.optimizers import AdamW
        >>> optimizer = AdamW()
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        """
        from pylstm.layers import Variable

        if self._last is not None:
            raise ValueError(
                "exclude_from_weight_decay: call it before a model is built with the optimizer"
            )
        paths = {v.path for v in _members("var_list", var_list, Variable, "variables of a model")}
        names = _members("var_names", var_names, str, "strings")
        for name in names:
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(
                    f"var_names: expected regular expressions, got {name!r}: {error}"
                ) from None
        self._excluded = frozenset(paths), tuple(names)

    def undecayed(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths whose variables do not decay."""
        chosen, names = self._excluded
        return [
            path
            for path in paths
            if path in chosen or any(re.search(name, path.rpartition("/")[2]) for name in names)
        ]


def _members(argument: str, value: Any, kind: type, expected: str) -> list[Any]:
    given = [] if value is None else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, kind) for one in given):
        got = _checks.described(value)
        raise TypeError(f"{argument}: expected a list of {expected}, got {got}")
    return list(given)
