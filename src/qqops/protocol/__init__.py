"""Pure protocol cores: data in, values out. Nothing here waits, opens a socket or reads a clock."""
