"""A version folder: writing, listing, loading; the served graph, records, card and warm-up requests."""
