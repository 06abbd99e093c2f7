"""Parts of the ``Task`` facade, and what stands behind them."""
