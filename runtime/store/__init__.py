"""The one writer: SQLite behind one repository per noun."""
