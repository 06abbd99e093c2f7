"""Ray lives here and nowhere else: one actor class a file."""
