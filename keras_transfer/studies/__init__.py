"""Questions asked of data or of several runs."""
