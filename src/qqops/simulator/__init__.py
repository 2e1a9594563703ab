"""WebQQ as a service, on loopback: to try the bot, to test plugins, and to break connections on purpose.

``world`` is who there is, ``service`` and its parts are the protocol without a socket, ``server`` is the
socket, ``control`` the handle by which tests and the demo move it.
"""
