"""A command line that Python Fire makes of a class."""

import fire

from dray import Task


class Calculator:
    """Its constructor's arguments are flags too."""

    def __init__(self, offset=0):
        self.offset = offset

    def add(self, x, y):
        return x + y + self.offset

    def join(self, *words, sep="-"):
        return sep.join(str(word) for word in words)


if __name__ == "__main__":
    Task.init(project_name="examples", task_name="fire commands")
    fire.Fire(Calculator)
