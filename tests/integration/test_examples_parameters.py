"""What the examples of parameters record, read back; and what an edited clone of them does."""

from __future__ import annotations

import json

from dray import Task
from tests.integration.conftest import PATIENCE_S
from tests.integration.examples import QUEUE, Recorded, example, packages


def edited(run: Recorded, **parameters: object) -> Task:
    """A clone with these parameters (``Args__epochs=3`` for ``Args/epochs``)."""
    clone = Task.clone(run.task)
    clone.set_packages(packages())
    clone.update_parameters({k.replace("__", "/"): v for k, v in parameters.items()})
    return clone


def finished(run: Recorded, clone: Task) -> str:
    """What ``clone`` prints in a queue."""
    Task.enqueue(clone, "default")
    run.cluster.client.wait(clone.id, timeout=PATIENCE_S)
    pieces = run.cluster.client.console(clone.id).pieces
    said = "".join(piece.text for piece in pieces if piece.stream == "stdout")
    assert run.cluster.client.get_task(clone.id).state == "completed", said
    return said


def again(run: Recorded, **parameters: object) -> str:
    """What a clone with these parameters prints in a queue."""
    return finished(run, edited(run, **parameters))


def types_of(task: Task) -> dict[str, str]:
    """The stored type of each parameter."""
    return {name: members["type"] for name, members in task.data["parameters"].items()}


@example("parameters/dict_nested.py")
def test_a_dict_is_stored_flat_and_comes_back_in_its_types(run: Recorded) -> None:
    assert run.task.get_parameters() == {
        "General/epochs": "3",
        "General/shuffle": "True",
        "General/layers": "[64, 32]",
        "General/window": "[1, 2]",
        "General/schedule": "COSINE",
        "General/resume": "",
        "General/optimizer/name": "adam",
        "General/optimizer/lr": "0.01",
        "General/optimizer/momentum": "0.9",
        "Fixed/seed": "7",
        **({"Fixed/_ignore_remote_overrides_": "True"} if run.where != QUEUE else {}),
    }
    types = types_of(run.task)
    assert (types["General/layers"], types["General/window"]) == ("list/int", "tuple/int")
    nested = run.task.get_parameters_as_dict(cast=True)["General"]
    assert nested["optimizer"] == {"name": "adam", "lr": 0.01, "momentum": 0.9}
    assert (nested["window"], nested["resume"]) == ((1, 2), None)
    if run.where == QUEUE:
        edits = {
            "General__optimizer__lr": "1e-3",
            "General__layers": "[8, a]",
            "General__epochs": "2.5",
            "General__schedule": "LINEAR",
        }
        assert again(run, **edits).splitlines() == [
            "epochs 2.5 lr 0.001 layers [8, 'a']",
            "schedule LINEAR resume None seed 7",
        ]


@example("parameters/objects.py")
def test_classes_dataclasses_and_models_are_connected(run: Recorded) -> None:
    values = run.task.get_parameters(cast=True)
    assert (values["Paths/workers"], values["Training/optimizer/lr"]) == (2, 0.1)
    assert run.task.data["parameters"]["Network/width"]["description"] == "neurons of a layer"
    if run.where == QUEUE:
        edits = {"Paths__workers": 4, "Training__optimizer__nesterov": True, "Network__width": -1}
        assert again(run, **edits).splitlines() == [
            "paths data/train 4",
            "training 3 0.1 True",
            "network 16 relu",  # the model itself refuses -1
        ]


@example("parameters/task_parameters.py")
def test_task_parameters_are_checked(run: Recorded) -> None:
    assert run.task.get_parameters()["Training/epochs"] == "5"
    assert "refused: dropout must be in range [0, 1]" in run.console


@example("parameters/configuration_files.py")
def test_configurations_are_texts(run: Recorded) -> None:
    task = run.task
    assert set(task.get_configuration_objects()) == {"model", "classes", "settings"}
    assert task.get_configuration_object_as_dict("classes") == ["cat", "dog"]
    assert json.loads(task.get_configuration_object("settings") or "") == {"threshold": 0.5}
    assert task.get_labels_enumeration() == {"background": 0, "cat": 1, "dog": 2}
    if run.where == QUEUE:
        clone = edited(run)
        clone.set_configuration_object("model", config_dict={"layers": [{"width": 99}]})
        clone.set_configuration_object("settings", config_text='{"threshold": 0.9}')
        assert finished(run, clone).splitlines() == [
            "widths [99]",
            "classes ['cat', 'dog']",
            "threshold 0.9",
        ]


@example("parameters/argparse_commands.py", ["--verbose", "train", "--lr", "0.5"])
def test_a_command_line_of_argparse(run: Recorded) -> None:
    assert run.task.get_parameters() == {
        "Args/seed": "1",
        "Args/verbose": "True",
        "Args/command": "train",
        "Args/lr": "0.5",
        "Args/layers": "[8]",
        "Args/optimizer": "adam",
    }
    if run.where == QUEUE:
        said = again(run, Args__command="test", Args__split="held out", Args__seed=3)
        assert said.splitlines() == ["test held out 3", "verbose True"]


@example("parameters/click_commands.py", ["train", "--lr", "0.5", "--tag", "a"])
def test_a_command_line_of_click(run: Recorded) -> None:
    values = run.task.get_parameters(cast=True)
    assert values == {
        "Args/cli/seed": 1,
        "Args/train": "True",
        "Args/train/lr": 0.5,
        "Args/train/tag": ("a",),
        "Args/train/fast": False,
        "Args/test": "False",
        "Args/test/split": "all",
    }
    assert types_of(run.task)["Args/train"] == "click.Command"
    if run.where == QUEUE:
        edits = {"Args__train": False, "Args__test": True, "Args__cli__seed": 5}
        assert again(run, **edits) == "test all 5\n"


@example("parameters/fire_commands.py", ["add", "1", "2", "--offset", "10"])
def test_a_command_line_of_fire(run: Recorded) -> None:
    values = run.task.get_parameters()
    assert (values["Args/add"], values["Args/join"]) == ("True", "False")
    assert (values["Args/add/x"], values["Args/offset"]) == ("1", "10")
    assert run.console.strip().endswith("13")
    if run.where == QUEUE:
        assert again(run, Args__add__x=5, Args__offset=0) == "7\n"


@example("parameters/hydra_app.py", ["lr=0.5", "db=postgresql"])
def test_an_application_of_hydra(run: Recorded) -> None:
    values = run.task.get_parameters()
    assert values == {
        "Hydra/lr": "0.5",
        "Hydra/db": "postgresql",
        "Hydra/_allow_omegaconf_edit_": "False",
    }
    composed = run.task.get_configuration_object("OmegaConf")
    assert composed == "lr: 0.5\ndb:\n  driver: postgresql\n  user: admin\n"
    if run.where == QUEUE:
        assert again(run, Hydra__lr=0.25, Hydra__db="mysql") == "lr 0.25 database mysql user root\n"
        clone = edited(run, Hydra___allow_omegaconf_edit_=True)
        clone.set_configuration_object("OmegaConf", config_text=composed.replace("admin", "me"))
        assert finished(run, clone) == "lr 0.5 database postgresql user me\n"


@example("parameters/jsonargparse_cli.py", ["--optimizer.name", "sgd"])
def test_a_command_line_of_jsonargparse(run: Recorded) -> None:
    assert run.task.get_parameters() == {
        "Args/lr": "0.1",
        "Args/limit": "",
        "Args/optimizer.name": "sgd",
        "Args/optimizer.betas": "[0.9, 0.99]",
    }
    if run.where == QUEUE:
        said = again(run, **{"Args__limit": "3", "Args__optimizer.betas": [0.5, 0.75]})
        assert said.splitlines() == ["lr 0.1 limit 3", "optimizer sgd [0.5, 0.75]"]


@example("parameters/absl_flags.py", ["--run", "one"])
def test_flags_of_absl(run: Recorded) -> None:
    assert run.task.get_parameters(cast=True) == {
        "TF_DEFINE/run": "one",
        "TF_DEFINE/batch_size": 64,
        "TF_DEFINE/splits": ["train"],
        "TF_DEFINE/mode": "fast",
    }
    if run.where == QUEUE:
        edits = {"TF_DEFINE__batch_size": 8, "TF_DEFINE__splits": "[a, b]", "TF_DEFINE__mode": "no"}
        assert again(run, **edits) == "run one 8 ['a', 'b'] fast\n"


@example("parameters/properties_and_edits.py")
def test_parameters_and_properties_by_name(run: Recorded) -> None:
    task = run.task
    assert task.get_parameters(cast=True) == {
        "General/lr": 0.2,
        "Data/split": 0.8,
        "Data/seed": 3,
    }
    assert task.get_parameter("lr") == "0.2"
    assert task.get_parameter("nowhere", default=1) == 1
    assert task.data["parameters"]["Data/split"]["description"] == "share for training"
    properties = {"team": "vision", "rank": "1", "reviewed": "True"}
    assert task.get_user_properties(value_only=True) == properties
    assert task.get_user_properties()["team"]["value"] == "vision"
    assert task.set_user_properties(after="the end")
    task.reload()
    assert task.get_user_properties(value_only=True) == {**properties, "after": "the end"}
    assert task.delete_user_properties("after")
    if run.where != QUEUE:
        (draft,) = Task.get_tasks(
            task_name="parameters by name, edited", task_filter={"status": ["created"]}
        )
        assert draft.get_parameters(cast=True) == {"General/lr": 0.001, "Training/epochs": 3}
        assert draft.delete_parameter("Training/epochs")
        assert draft.get_parameters() == {"General/lr": "0.001"}
