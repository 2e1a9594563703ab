"""The ceiling: websockets' sans-IO layer on a trio socket, batched in and out, and a loop that answers. ``bare.py PORT``."""

import itertools
import sys

import msgspec
import trio
from websockets.frames import Opcode
from websockets.server import ServerProtocol

numbers = itertools.count()
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


async def serve(stream):
    protocol = ServerProtocol(max_size=2**26)
    while True:
        data = await stream.receive_some(2**18)
        if not data:
            return
        protocol.receive_data(data)
        for event in protocol.events_received():
            if not hasattr(event, "opcode"):
                protocol.send_response(protocol.accept(event))
            elif event.opcode is Opcode.TEXT:
                frame = decode(event.data)
                if frame.get("post_type") == "message":
                    said = frame["message"][0]["data"]["text"]
                    if said.startswith("/echo "):
                        message = [{"type": "text", "data": {"text": said[6:]}}]
                        params = {"group_id": frame["group_id"], "message": message}
                        call = {"action": "send_group_msg", "params": params, "echo": f"q{next(numbers)}"}
                        protocol.send_text(encode(call))
        if out := b"".join(protocol.data_to_send()):
            await stream.send_all(out)


trio.run(trio.serve_tcp, serve, int(sys.argv[1]))
