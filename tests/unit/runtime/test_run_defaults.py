"""How a task runs is said by itself, then by its queue, then by its agent."""

from __future__ import annotations

from dray.runtime.execution import Container, Execution, RunDefaults
from dray.runtime.run_defaults import with_defaults

QUEUE = RunDefaults("pip", Container("queue:1", "--ipc=host", "apt-get update"), "cpu")
AGENT = RunDefaults("conda", Container("agent:1"), "cu128")


def test_the_task_goes_before_its_queue_and_that_before_its_agent() -> None:
    own = Execution(environment_manager="uv")
    made = with_defaults(own, QUEUE, AGENT)
    assert (made.environment_manager, made.torch_backend) == ("uv", "cpu")
    assert made.container == QUEUE.container
    assert with_defaults(own, RunDefaults(), AGENT).container == AGENT.container
    assert with_defaults(Execution(), RunDefaults(), RunDefaults()) == Execution()


def test_a_task_with_an_image_takes_nothing_of_another_ones() -> None:
    own = Container("own:1")
    assert with_defaults(Execution(container=own), QUEUE, AGENT).container == own


def test_arguments_and_a_script_without_an_image_are_for_the_image_it_gets() -> None:
    own = Execution(container=Container("", "-e A=1"))
    assert with_defaults(own, QUEUE).container == Container("queue:1", "-e A=1", "apt-get update")
    own = Execution(container=Container("", "", "pip list"))
    assert with_defaults(own, QUEUE).container == Container("queue:1", "--ipc=host", "pip list")
