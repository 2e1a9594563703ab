"""One socket shell per network over a pure core."""
