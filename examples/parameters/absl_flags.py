"""Flags of absl, one of them required; they are in the section ``TF_DEFINE``."""

from absl import app, flags

from dray import Task

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "name of the run", required=True)
flags.DEFINE_integer("batch_size", 64, "size of a batch")
flags.DEFINE_list("splits", ["train"], "of the data")
flags.DEFINE_enum("mode", "fast", ["fast", "exact"], "how to compute")


def main(_):
    Task.init(project_name="examples", task_name="absl flags")
    print("run", FLAGS.run, FLAGS.batch_size, FLAGS.splits, FLAGS.mode)


if __name__ == "__main__":
    app.run(main)
