"""OneBot v11: the shell around `qqops.protocol.onebot11`."""
