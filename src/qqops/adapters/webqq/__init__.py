"""WebQQ of 2013 and SmartQQ: the shell around `qqops.protocol.webqq`."""
