"""Pictures and files, both ways. Source: webqq.md §11.1, §11.2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import attrs

from qqops.model import Image
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Flow, call
from qqops.protocol.webqq.http import Request, Response, get
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import integer, json_of, mapping, retcode, text_of

#: Seconds that a picture takes to come; group pictures took 10–45.
PICTURE_DEADLINE = 60.0
#: Seconds that an uploaded picture needs to spread before it can be shown (§12.3).
SPREAD = 5.0
#: Largest picture that is sent or taken, in bytes.
MAX_PICTURE = 4 * 1024 * 1024

_WEB2 = "http://web2.qq.com/"
_NAME = re.compile(r"[\w{}.-]{1,120}", re.ASCII)
#: The whole signatures, as the formats define them; a dot is any byte. BMP's own is two letters, so its two reserved
#: fields and the length of its next header (12 in the oldest kind, 124 in the newest) count, too.
_MAGIC = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "gif": re.compile(rb"GIF8[79]a"),
    "jpg": re.compile(rb"\xff\xd8\xff[\xc0-\xfe]"),
    "bmp": re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}


def picture_type(content: bytes) -> str:
    """Return png, gif, jpg, bmp or webp by the first bytes, or "" for what is not a picture."""
    return next((kind for kind, magic in _MAGIC.items() if magic.match(content)), "")


# -- receiving ----------------------------------------------------------------------------------


def download(session: Session, image: Image) -> Request | None:
    """Return the request for a received picture, or None when its message did not tell enough."""
    data = image.data
    kind = data.get("kind")
    if kind == "offpic":
        query: dict[str, object] = {"file_path": image.id, "f_uin": _int(data, "sender")}
        return session.channel_get("get_offpic2", query, deadline=PICTURE_DEADLINE)
    if kind == "cface" and "file_id" in data:
        server, _, port = str(data.get("server", "")).partition(":")
        query = {
            "type": 0, "gid": _int(data, "code"), "uin": _int(data, "sender"), "rip": server, "rport": port,
            "fid": _int(data, "file_id"), "pic": image.id, "vfwebqq": session.vfwebqq, "t": session.noise(),
        }  # fmt: skip
        url = "http://web2.qq.com/cgi-bin/get_group_pic"
        return get("get_group_pic", url, query, referer=_WEB2, deadline=PICTURE_DEADLINE)
    if kind == "cface":
        query = {
            "lcid": str(data.get("message", "")), "guid": image.id, "to": _int(data, "sender"), "count": 5, "time": 1,
        }  # fmt: skip
        return session.channel_get("get_cface2", query, deadline=PICTURE_DEADLINE)
    return None


def take_file(session: Session, uin: int, transfer: str, name: str) -> Request:
    """Return the request for a file that somebody sends directly (§11.1)."""
    query = {"lcid": transfer, "guid": name, "to": uin, "count": 1, "time": session.noise()}
    return session.channel_get("get_file2", query, deadline=PICTURE_DEADLINE)


def _int(data: Mapping[str, object], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


# -- sending ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Uploaded:
    """A picture that the service has.

    Attributes:
        element: How it stands in the content of a message.
        more: What the send must say besides (§11).
    """

    element: tuple[object, ...]
    more: Mapping[str, object] = attrs.field(factory=dict)


def upload_for_friend(session: Session, uin: int, content: bytes) -> Flow[Uploaded]:
    """Give the service a picture for a friend. Raises `ProtocolError` when it does not take it."""
    name = f"qqops.{picture_type(content)}"
    fields = {
        "callback": "parent.EQQ.Model.ChatMsg.callbackSendPic", "locallangid": 2052, "clientversion": 1409,
        "uin": session.number, "skey": session.cookies.get("skey"), "appid": 1002101, "peeruin": uin, "fileid": 1,
        "vfwebqq": session.vfwebqq, "senderviplevel": 0, "reciverviplevel": 0,
    }  # fmt: skip
    url = "http://weboffline.ftn.qq.com/ftn_access/upload_offline_pic"
    response = yield from call(_multipart(session, "upload_offline_pic", url, fields, "file", name, content))
    answer = _callback(response, "upload_offline_pic")
    path = answer.get("filepath")
    if retcode(answer, "upload_offline_pic") != 0 or not isinstance(path, str) or not path:
        raise WebQQProtocolError("upload_offline_pic: refused", payload=answer)
    shown = str(answer.get("filename") or name)
    return Uploaded(element=("offpic", path, shown, len(content)))


def upload_for_group(session: Session, content: bytes) -> Flow[Uploaded]:
    """Give the service a picture for groups. Raises `ProtocolError` when it does not take it."""
    fields = {
        "from": "control", "f": "EQQ.Model.ChatMsg.callbackSendPicGroup", "vfwebqq": session.vfwebqq, "fileid": 1,
    }  # fmt: skip
    name = f"qqops.{picture_type(content)}"
    url = "http://up.web2.qq.com/cgi-bin/cface_upload"
    response = yield from call(_multipart(session, "cface_upload", url, fields, "custom_face", name, content))
    answer = _callback(response, "cface_upload")
    code, said = integer(answer.get("ret"), "cface_upload: ret"), str(answer.get("msg", ""))
    # 4: it has this one already, its name follows.
    found = _NAME.search(said.split()[-1]) if said and code in (0, 4) else None
    if found is None:
        raise WebQQProtocolError("cface_upload: too big" if code == 2 else f"cface_upload: refused ({code})")
    signed = yield from call(session.channel_get("get_gface_sig2", {}))
    body = json_of(signed, "get_gface_sig2")
    if retcode(body, "get_gface_sig2") != 0:
        raise WebQQProtocolError("get_gface_sig2: refused", payload=body)
    result = mapping(body.get("result"), "get_gface_sig2: result")
    more = {"key": str(result.get("gface_key", "")), "sig": str(result.get("gface_sig", ""))}
    return Uploaded(element=("cface", "group", found[0]), more=more)


def _multipart(
    session: Session,
    name: str,
    url: str,
    fields: Mapping[str, object],
    file_field: str,
    file_name: str,
    content: bytes,
) -> Request:
    boundary = f"----qqops{session.noise()}"
    while boundary.encode() in content:
        boundary += "x"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    kind = {"jpg": "jpeg"}.get(picture_type(content), picture_type(content) or "octet-stream")
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file_field}"; filename="{file_name}"\r\n'
        f"Content-Type: image/{kind}\r\n\r\n".encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )
    return Request(
        name=name,
        method="POST",
        host=url.split("/")[2],
        path="/" + url.split("/", 3)[3],
        query=(("time", session.noise()),),
        referer=_WEB2,
        deadline=PICTURE_DEADLINE,
        idempotent=False,
        content=(f"multipart/form-data; boundary={boundary}", b"".join(parts)),
    )


_CALLBACK = re.compile(r"\w[\w.]{0,80}\((\{.{0,2000}?\})\)", re.ASCII | re.DOTALL)


def _callback(response: Response, call_name: str) -> dict[str, object]:
    """Return the object that a page's script hands to its callback, ``…callbackSendPic({…})``."""
    if response.status != 200:
        raise WebQQProtocolError(f"{call_name}: HTTP {response.status}")
    found = _CALLBACK.search(text_of(response)[:20_000])
    if found is None:
        raise WebQQProtocolError(f"{call_name}: no answer in the page", payload=response.body)
    text = found[1]
    try:
        value = json.loads(text if '"' in text else text.replace("'", '"'))
    except (ValueError, RecursionError) as exc:
        raise WebQQProtocolError(f"{call_name}: the answer cannot be read", payload=text) from exc
    return mapping(value, call_name)
