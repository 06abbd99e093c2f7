"""The chaos itself: its judge, its script, its proxy, its plans."""
