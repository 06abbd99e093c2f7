"""A command line of click with sub-commands, and ``Task.init`` inside one of them."""

import click

from dray import Task


@click.group()
@click.option("--seed", default=1, help="of the random numbers")
@click.pass_context
def cli(context, seed):
    context.obj = seed


@cli.command()
@click.option("--lr", type=float, required=True, help="learning rate")
@click.option("--tag", multiple=True, help="may be given several times")
@click.option("--fast/--slow", default=False)
@click.pass_obj
def train(seed, lr, tag, fast):
    Task.init(project_name="examples", task_name="click commands")
    print("train", lr, list(tag), fast, seed)


@cli.command()
@click.argument("split", default="all")
@click.pass_obj
def test(seed, split):
    Task.init(project_name="examples", task_name="click commands")
    print("test", split, seed)


if __name__ == "__main__":
    cli()
