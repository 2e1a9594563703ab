"""An implementation of OneBot v11 to connect to: the other side of `qqops.adapters.onebot11.adapter`, with its quirks."""
