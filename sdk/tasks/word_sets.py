"""Sets of words that are used like enums, without importing ``enum`` into every child."""

from __future__ import annotations

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Word(str):
    """A word of a set: text that also has the ``name`` and ``value`` of an enum's member."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The word."""
        return str(self)

    @property
    def name(self) -> str:
        """The same as ``value``."""
        return str(self)

    def __str__(self) -> str:
        return str.__str__(self)


class WordSet(type):
    """A class whose words are its members: called, looked up and gone through as an enum."""

    def __call__(cls, value: object) -> Word:
        """The word that ``value`` is.

        Raises:
            InvalidInput: it is none of the set.
        """
        for word in cls:
            if word == str(value):
                return word
        from dray.runtime.errors import InvalidInput

        raise InvalidInput(
            f"{value!r} is no {cls.__name__}; there are {', '.join(cls)}", field=cls.__name__
        )

    def __iter__(cls) -> Iterator[Word]:
        return (value for value in vars(cls).values() if isinstance(value, Word))

    def __getitem__(cls, name: str) -> Word:
        return cls(name)

    def __contains__(cls, value: object) -> bool:
        return str(value) in list(cls)

    def __len__(cls) -> int:
        return sum(1 for _ in cls)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Word) and instance in list(cls)


class TaskTypes(metaclass=WordSet):
    """What a task may be for, as words; ``dray.TaskType`` has them as an enum."""

    training = Word("training")
    testing = Word("testing")
    inference = Word("inference")
    data_processing = Word("data_processing")
    application = Word("application")
    monitor = Word("monitor")
    controller = Word("controller")
    optimizer = Word("optimizer")
    service = Word("service")
    qc = Word("qc")
    custom = Word("custom")


class TaskStatusEnum(metaclass=WordSet):
    """The words for a task's state that programs compare with; see ``Task.status``."""

    created = Word("created")
    queued = Word("queued")
    in_progress = Word("in_progress")
    stopped = Word("stopped")
    published = Word("published")
    publishing = Word("publishing")
    closed = Word("closed")
    failed = Word("failed")
    completed = Word("completed")
    unknown = Word("unknown")
