"""A command line of argparse with sub-commands; nothing in it knows of tasks."""

import argparse

from dray import Task

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
parser.add_argument("--verbose", action=argparse.BooleanOptionalAction, default=False)
commands = parser.add_subparsers(dest="command", required=True)
train = commands.add_parser("train")
train.add_argument("--lr", type=float, required=True, help="learning rate")
train.add_argument("--layers", type=int, nargs="*", default=[8])
train.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
test = commands.add_parser("test")
test.add_argument("split")

arguments = parser.parse_args()

# After the fact: what was parsed above is recorded all the same.
task = Task.init(project_name="examples", task_name="argparse commands")

if arguments.command == "train":
    print("train", arguments.lr, arguments.layers, arguments.optimizer, arguments.seed)
else:
    print("test", arguments.split, arguments.seed)
print("verbose", arguments.verbose)
