"""HTTP, as a client and as a server. The only door to httpx and h11."""
