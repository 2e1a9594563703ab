"""An implementation of OneBot v11 that does nothing but load: dials a bot and counts. Own code on a bare socket.

It must be faster than what it measures, so frames are templates, answers are found by regular expressions, and nothing
is decoded.
"""

import re
import select
import socket
import time

from tally import Result, Tally

EVENT = (
    b'{"self_id":10001,"user_id":%(user)d,"time":1764000000,"message_id":%(id)d,"message_seq":%(id)d,"real_id":%(id)d,'
    b'"message_type":"group","sender":{"user_id":%(user)d,"nickname":"Somebody %(user)d","card":"","role":"member",'
    b'"title":""},"raw_message":"%(text)s","font":14,"sub_type":"normal","anonymous":null,"message":[{"type":"text",'
    b'"data":{"text":"%(text)s"}}],"message_format":"array","post_type":"message","group_id":%(group)d,'
    b'"group_name":"A group of people"}'
)
TALK = (
    "has anybody seen the keys", "今天天气不错", "I think the build is green again", "ok",
    "lunch at twelve? the usual place", "这个功能下周上线, 大家记得测试", "see https://example.org/a/b?c=d for more",
)  # fmt: skip
ECHO = re.compile(rb'"echo":\s*("[^"]*"|\d+)')
ACTION = re.compile(rb'"action":\s*"([^"]*)"')
#: What a bot may want to know before it begins.
KNOWN = {
    b"get_login_info": b'{"user_id":10001,"nickname":"bot"}',
    b"get_version_info": b'{"app_name":"NapCat.Onebot","app_version":"4.0","protocol_version":"v11"}',
}
ANSWER = b'{"status":"ok","retcode":0,"data":%s,"message":"","wording":"","echo":%s}'
FIRST_PERSON, FIRST_ROOM = 20000, 30000
#: Seconds without any answer after which the rest counts as lost.
QUIET = 5.0
#: Seconds after a phase in which answers that come twice are waited for.
LINGER = 0.5
#: Seconds between two tries of the first command, at first; later a tenth of the time waited so far.
RETRY = 0.02


class Stopped(Exception):
    """The bot does not answer any more."""


class Load:
    """One connection to a bot, dialled and greeted; nothing is asked yet.

    Each command bears a mark that is unique on this connection, so that an answer that comes late or twice is known
    for what it is in whatever phase it arrives.

    Args:
        command: Text of a command; the mark stands where ``%s`` is.
        slots: People who ask.
        groups: Rooms they sit in; person and room have the same number where each has one room.

    Raises:
        OSError: Nobody listens.
        Stopped: Somebody listens who takes no WebSocket.
    """

    def __init__(
        self, port: int, path: str, command: str, pid: int, slots: int = 64, groups: int = 64
    ) -> None:
        self.command = command.encode()
        self.pid = pid
        self.slots, self.groups = slots, groups
        self.next_id = int(time.time() * 100_000) & 0x3FFFFFFF  # a bot may remember those of the last run
        self.talk = [text.encode() for text in TALK]
        self.talked = 0
        self.numbers = [self.next_id] * slots  # and those of a connection before this one
        self.given_up: set[tuple[int, int]] = set()
        self.buffer, self.out = b"", bytearray()
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=QUIET)
        try:
            early = self.shake_hands(port, path)
        except BaseException:
            self.sock.close()
            raise
        self.sock.setblocking(False)
        self.put(
            b'{"time":1764000000,"self_id":10001,"post_type":"meta_event","meta_event_type":"lifecycle","sub_type":"connect"}'
        )
        for frame in self.frames(early):  # some ask who we are in the same breath
            self.reply(frame)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def shake_hands(self, port: int, path: str) -> bytes:
        """Ask for a WebSocket; return what came after the answer."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "X-Self-ID: 10001\r\nX-Client-Role: Universal\r\nUser-Agent: OneBot/11\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self.sock.recv(65536)
            if not data:
                raise Stopped("no handshake")
            answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Stopped(head.decode("latin-1"))
        return rest

    # -- frames ---------------------------------------------------------------------------------

    def put(self, payload: bytes) -> None:
        n = len(payload)
        if n < 126:
            self.out += bytes((0x81, 0x80 | n)) + b"\0\0\0\0" + payload  # a mask of zeros changes nothing
        else:
            self.out += b"\x81\xfe" + n.to_bytes(2, "big") + b"\0\0\0\0" + payload

    def event(self, person: int, room: int, text: bytes) -> None:
        self.next_id += 1
        self.put(
            EVENT
            % {
                b"user": FIRST_PERSON + person,
                b"group": FIRST_ROOM + room,
                b"id": self.next_id,
                b"text": text,
            }
        )

    def turn(self, timeout: float) -> list[bytes]:
        """Write what is ready, read what is there; return the sends of the bot, each answered already."""
        self.flush()
        readable, _, _ = select.select([self.sock], [self.sock] if self.out else [], [], timeout)
        if not readable:
            return []
        data = self.sock.recv(1 << 18)
        if not data:
            raise Stopped("the bot has closed the connection")
        return [frame for frame in self.frames(data) if self.reply(frame)]

    def frames(self, data: bytes) -> list[bytes]:
        """Return the texts in *data* and what was kept of the last one; pings are answered."""
        buffer = self.buffer + data if self.buffer else data
        at, end, texts = 0, len(buffer), []
        while end - at >= 2:
            n, start = buffer[at + 1] & 127, at + 2
            if n == 126:
                n, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif n == 127:
                n, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if end - start < n:
                break
            if buffer[at] & 15 == 1:
                texts.append(buffer[start : start + n])
            elif buffer[at] & 15 == 9:
                self.out += bytes((0x8A, 0x80 | n)) + b"\0\0\0\0" + buffer[start : start + n]
            at = start + n
        self.buffer = buffer[at:]
        return texts

    def reply(self, frame: bytes) -> bool:
        """Answer a call of the bot; return whether it was a send."""
        action, echo = ACTION.search(frame), ECHO.search(frame)
        name = action[1] if action else b""
        sends = name.startswith(b"send_")
        if sends:
            self.next_id += 1
            data = b'{"message_id":%d}' % self.next_id
        elif name.endswith(b"_list"):
            data = b"[]"
        else:
            data = KNOWN.get(name, b"null")
        self.put(ANSWER % (data, echo[1] if echo else b"null"))
        return sends

    def flush(self) -> None:
        if self.out:
            try:
                sent = self.sock.send(self.out)
            except BlockingIOError:
                return
            del self.out[:sent]

    def cpu(self) -> float:
        """CPU seconds of the bot so far."""
        if not self.pid:
            return 0.0
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    # -- what all phases do ---------------------------------------------------------------------

    def chat(self, times: int = 1) -> None:
        """Let people say something that concerns no bot."""
        for _ in range(times):
            self.talked += 1
            person = self.talked * 7 % self.slots
            self.event(person, person % self.groups, self.talk[self.talked % len(self.talk)])

    def ask(self, tally: Tally, person: int, moment: float, rooms: int = 1) -> None:
        """Send a command of *person*, who takes turns in *rooms* rooms; its wait counts from *moment*."""
        number = self.numbers[person] = self.numbers[person] + 1
        room = (person + number % rooms) % self.groups
        tally.waiting[person, number] = FIRST_ROOM + room, moment
        self.event(person, room, self.command % (b"s%dn%d" % (person, number)))

    def hear(self, tally: Tally, timeout: float) -> list[int]:
        """Take what comes within *timeout*; return the people whose questions were answered."""
        frames = self.turn(timeout)
        if not frames:
            return []
        now = tally.heard = time.perf_counter()
        return [one for one in (tally.answered(frame, now) for frame in frames) if one is not None]

    def finish(self, tally: Tally, began: float, cpu: float) -> Result:
        """Wait for what is outstanding, as long as something comes; take the time; then listen for what comes twice."""
        while tally.waiting and not tally.quiet(time.perf_counter(), QUIET):
            self.hear(tally, 0.5)
        result = tally.result
        gave_up = tally.waiting and result.commands  # the time spent waiting for what never came is not work
        result.seconds = (tally.heard if gave_up else time.perf_counter()) - began
        result.cpu = self.cpu() - cpu
        until = time.perf_counter() + LINGER
        while (left := until - time.perf_counter()) > 0:
            self.hear(tally, left)
        result.lost = len(tally.waiting)
        self.given_up.update(tally.waiting)
        return result

    # -- phases ---------------------------------------------------------------------------------

    def first(self, patience: float = 30.0) -> tuple[float, Result]:
        """Repeat a command until one is answered; return that moment and what became of the others.

        Raises:
            Stopped: Nothing came within *patience* seconds, or the bot hung up.
        """
        began, cpu = time.perf_counter(), self.cpu()
        tally, due = Tally(began, self.given_up), began
        while not tally.result.commands:
            now = time.perf_counter()
            if now - began > patience:
                raise Stopped("no command is answered")
            if now >= due:
                self.ask(tally, 0, now)
                tally.result.events += 1
                due = now + max(RETRY, (now - began) / 10)  # a slow bot shall not drown before it begins
            self.hear(tally, max(due - now, 0.0))
        moment = tally.heard
        return moment, self.finish(tally, began, cpu)

    def closed(
        self, commands: int, chatter: int = 0, window: int = 0, depth: int = 1, rooms: int = 1
    ) -> Result:
        """Keep *depth* commands of each of *window* people outstanding; *chatter* other messages before each."""
        began, cpu = time.perf_counter(), self.cpu()
        tally, left = Tally(began, self.given_up), commands
        people: list[int] = list(range(window or self.slots)) * depth
        while left and not tally.quiet(time.perf_counter(), QUIET):
            for person in people[:left]:
                self.chat(chatter)
                self.ask(tally, person, time.perf_counter(), rooms)
            asked = min(len(people), left)
            left -= asked
            tally.result.events += asked * (chatter + 1)
            people = self.hear(tally, 0.5)
        return self.finish(tally, began, cpu)

    def burst(self, commands: int, depth: int = 8) -> Result:
        """Let each person have *depth* commands outstanding, in two rooms by turns: disorder would show."""
        return self.closed(commands, depth=depth, rooms=2)

    def steady(self, rate: float, seconds: float, chatter: int = 9) -> Result:
        """Send *rate* events a second whatever happens, one of *chatter* + 1 a command; waits count from when it was due."""
        began, cpu = time.perf_counter(), self.cpu()
        tally, sent, total = Tally(began, self.given_up), 0, int(rate * seconds)
        while sent < total:
            now = time.perf_counter()
            while sent < total and (due := began + sent / rate) <= now:
                if sent % (chatter + 1):
                    self.chat()
                else:
                    self.ask(tally, sent // (chatter + 1) % self.slots, due)
                sent += 1
            self.hear(tally, max(began + sent / rate - time.perf_counter(), 0.0))
        tally.result.events = sent
        return self.finish(tally, began, cpu)
