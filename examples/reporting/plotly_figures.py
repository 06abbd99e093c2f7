"""Figures of plotly, made by its own library or written as a dict."""

import plotly.graph_objects as go

from dray import Task

task = Task.init("examples/reporting", "plotly figures")
logger = task.get_logger()

figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[4, 1, 9], name="measured"))
figure.update_layout(title="by plotly")
logger.report_plotly(title="iris", series="scatter", figure=figure, iteration=0)
logger.report_plotly("iris", "dict", {"data": [{"type": "pie", "values": [1, 2]}], "layout": {}}, 1)
