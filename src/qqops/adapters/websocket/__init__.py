"""WebSockets, dialled and accepted. The only door to `websockets`."""
