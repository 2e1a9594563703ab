"""Files of groups and people on OneBot v11. Source: onebot11.md §5, row "group files"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from qqops.adapters.onebot11.media import Media
from qqops.model import File, RoomKind, RoomRef
from qqops.protocol.onebot11.wire import Frame, as_id, fields, number, rows, text


@attrs.frozen(kw_only=True)
class GroupFile:
    """A file or folder of a group.

    Attributes:
        folder: Whether it is a folder.
        size: Bytes; 0 for folders and where it is not told.
        data: All that the implementation says of it.
    """

    id: str
    name: str
    folder: bool
    size: int = 0
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


class Ask(Protocol):
    """Does an action and returns its data."""

    async def __call__(self, action: str, params: dict[str, Any], deadline: float = 0.0) -> Any:
        """Raises `Refuse` when it cannot be done."""


class Files:
    """The files of an account's rooms. Every method raises `qqops.Refuse` when it cannot be done."""

    def __init__(self, ask: Ask, media: Media, upload_deadline: float) -> None:
        self._ask = ask
        self._media = media
        self._deadline = upload_deadline

    async def list(self, room: RoomRef, folder: str = "") -> list[GroupFile]:
        """Return folders and files of a group; *folder* is the id of one to look into."""
        params: dict[str, Any] = {"group_id": as_id(room.id)}
        action = "get_group_root_files"
        if folder:
            action, params["folder_id"] = "get_group_files_by_folder", folder
        found = fields(await self._ask(action, params))
        folders = [
            GroupFile(id=text(r.get("folder_id")), name=text(r.get("folder_name")), folder=True, data=r)
            for r in rows(found.get("folders"))
        ]
        return folders + [_file(row) for row in rows(found.get("files"))]

    async def url(self, room: RoomRef, file: GroupFile) -> str:
        """Return where a file of a group, or one that a person has sent, can be fetched for a while."""
        params: dict[str, Any] = {"file_id": file.id}
        if room.kind is not RoomKind.GROUP:
            # One implementation wants the hash as well; the others do not mind it.
            params |= {"user_id": as_id(room.id), "file_hash": text(file.data.get("file_hash"))}
            return text(fields(await self._ask("get_private_file_url", params)).get("url"))
        params |= {"group_id": as_id(room.id), **_busid(file)}
        return text(fields(await self._ask("get_group_file_url", params)).get("url"))

    async def upload(self, room: RoomRef, file: File, folder: str = "") -> str:
        """Put *file* among the files of a group, or send it to a person; return its id there."""
        params: dict[str, Any] = {"file": await self._media.place(file), "name": file.name}
        if room.kind is RoomKind.GROUP:
            action, params["group_id"] = "upload_group_file", as_id(room.id)
            params |= {"folder": folder, "folder_id": folder} if folder else {}
        else:
            action, params["user_id"] = "upload_private_file", as_id(room.id)
        return text(fields(await self._ask(action, params, self._deadline)).get("file_id"))

    async def delete(self, room: RoomRef, file: GroupFile) -> None:
        """Delete a file, or a folder with what is in it."""
        if file.folder:
            params = {"group_id": as_id(room.id), "folder_id": file.id, "folder": file.id}
            await self._ask("delete_group_folder", params)
        else:
            await self._ask(
                "delete_group_file", {"group_id": as_id(room.id), "file_id": file.id, **_busid(file)}
            )

    async def make_folder(self, room: RoomRef, name: str) -> str:
        """Make a folder and return its id, where the implementation tells."""
        params = {"group_id": as_id(room.id), "name": name, "folder_name": name, "parent_id": "/"}
        found = fields(await self._ask("create_group_file_folder", params))
        return text(found.get("folder_id")) or text(fields(found.get("groupItem")).get("folder_id"))

    async def move(self, room: RoomRef, file: GroupFile, source: str, target: str) -> None:
        """Move a file from one folder into another, both by id; ``/`` is the root."""
        params = {"group_id": as_id(room.id), "file_id": file.id, "current_parent_directory": source,
                  "target_parent_directory": target, "parent_directory": source, "target_directory": target}  # fmt: skip
        await self._ask("move_group_file", params)

    async def rename(self, room: RoomRef, file: GroupFile, name: str, folder: str = "/") -> None:
        """Rename a file that lies in *folder*."""
        params = {"group_id": as_id(room.id), "file_id": file.id, "current_parent_directory": folder,
                  "parent_directory": folder, "new_name": name}  # fmt: skip
        await self._ask("rename_group_file", params)

    async def keep(self, room: RoomRef, file: GroupFile) -> None:
        """Make a file that would vanish after some days a lasting one."""
        await self._ask("trans_group_file", {"group_id": as_id(room.id), "file_id": file.id})


def _file(row: Frame) -> GroupFile:
    size = number(row.get("file_size")) or number(row.get("size"))
    return GroupFile(
        id=text(row.get("file_id")), name=text(row.get("file_name")), folder=False, size=size, data=row
    )


def _busid(file: GroupFile) -> dict[str, Any]:
    """Return the storage number where an older implementation told one; newer ones must not get any."""
    return {"busid": file.data["busid"]} if text(file.data.get("busid")) not in ("", "0") else {}


__all__ = ["Files", "GroupFile"]
