"""Figures of matplotlib that are shown or saved are plots, pictures are debug samples."""

import matplotlib.pyplot as plt
import numpy as np

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="matplotlib show")

x = np.linspace(0, 6, 50)
plt.plot(x, np.sin(x))
plt.title("sine")
plt.show()

plt.figure()
plt.imshow(np.outer(np.sin(x), np.cos(x)))
plt.title("waves")
plt.show()

figure, axes = plt.subplots()
axes.bar(["a", "b", "c"], [3, 1, 2])
axes.set_title("bars")
figure.savefig("bars.png")
