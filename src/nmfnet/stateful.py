"""State as named fields: what changes while a network trains, to be stored and restored by name."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from torch import Tensor

State: TypeAlias = dict[str, Any]  # of tensors, numbers, text, None, and lists and dicts of them


class Stateful:
    """Base class of the parts of a sweep that change while it runs.

    Attributes
    ----------
    fields : tuple of str
        Names of the attributes that change.  Everything else follows from the settings and the data.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def state(self) -> State:
        """Return the fields by name; tensors are valid until the next call that changes this object."""
        return {name: getattr(self, name) for name in self.fields}

    def restore(self, state: State) -> None:
        """Set the fields to copies of those of a :meth:`state`."""
        for name in self.fields:
            setattr(self, name, copied(state[name]))


def copied(value: Any) -> Any:
    """A state whose tensors share no memory with those of `value`; they keep their order in memory."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, (list, tuple)) else value
