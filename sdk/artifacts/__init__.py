"""Named outputs: made into bytes, kept, fetched and rebuilt."""
