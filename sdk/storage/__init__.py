"""Files anywhere: folders, the web, and what fsspec knows."""
