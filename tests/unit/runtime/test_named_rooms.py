"""What a name in the settings means: one room, found once, by its address from then on."""

from qqops.model import AccountRef, Room, RoomKind, RoomRef
from qqops.runtime.named_rooms import NamedRooms, RoomSettings

HERE = AccountRef("memory", "talk")
SETTINGS = RoomSettings(
    languages={"ops": "zh", "30001": "zh"}, prefixes={"ops": ("!",)}, accounts={"ops": "two"}
)


def group(id_, name, *, account=HERE, verified=True):
    return Room(ref=RoomRef(account, RoomKind.GROUP, id_), name=name, verified=verified)


def private(id_, name):
    return Room(ref=RoomRef(HERE, RoomKind.PRIVATE, id_), name=name)


OPS = group("g-ops", "ops")
STRANGER = private("666", "ops")


class World:
    def __init__(self, *rooms):
        self.rooms = list(rooms)
        self.named = NamedRooms(
            SETTINGS, lambda account: [r for r in self.rooms if r.ref.account.id == account]
        )

    def found(self, name):
        room = self.named.find("talk", name)
        return room.id if room is not None else None


def test_a_private_chat_has_no_name_by_which_it_is_found():
    world = World(STRANGER)
    assert world.found("ops") is None
    world.rooms.append(OPS)
    assert world.found("ops") == "g-ops"
    named = world.named
    assert (named.language(STRANGER), named.prefix(STRANGER), named.account(STRANGER)) == ("en", (), "")
    assert (named.language(OPS), named.prefix(OPS), named.account(OPS)) == ("zh", ("!",), "two")
    assert (named.language(None), named.prefix(None)) == ("en", ())


def test_a_number_is_never_a_name_and_means_the_group_before_the_person():
    elsewhere = group("30001", "ops", account=AccountRef("memory", "other"))
    evil = group("666", "30001")
    world = World(elsewhere, evil, private("30001", "Ali"))
    assert world.named.find("talk", "30001").private
    world.rooms.append(group("30001", "team"))
    assert not world.named.find("talk", "30001").private
    assert world.named.language(evil) == "en"


def test_a_room_keeps_what_is_set_for_its_name_when_it_is_renamed():
    world = World(OPS)
    assert world.found("ops") == "g-ops"
    renamed = group("g-ops", "operations")
    world.rooms = [renamed]
    assert world.found("ops") == "g-ops"
    assert world.named.prefix(renamed) == ("!",)


def test_no_other_room_gets_what_is_set_by_taking_on_the_name():
    world = World(OPS)
    assert world.named.language(OPS) == "zh"
    evil, renamed = group("g-evil", "ops"), group("g-ops", "operations")
    for rooms in ([OPS, evil], [renamed, evil], [evil], []):
        world.rooms = rooms
        assert world.found("ops") in ("g-ops", None)
        assert (world.named.language(evil), world.named.account(evil)) == ("en", "")
        assert world.named.language(renamed) == "zh"


def test_a_name_that_two_rooms_have_from_the_start_means_neither_and_that_is_said_once(capsys):
    world = World(OPS, group("g-evil", "ops"))
    for _ in range(3):
        assert world.found("ops") is None
        assert world.named.language(OPS) == "en"
    assert capsys.readouterr().out.count("name the room by its number") == 1
    world.rooms.pop()
    assert world.named.language(OPS) == "zh"


def test_a_name_means_one_room_of_each_account():
    """Two accounts in one group see two rooms."""
    other = group("g-ops", "ops", account=AccountRef("memory", "other"))
    world = World(OPS, other)
    assert (world.named.language(OPS), world.named.language(other)) == ("zh", "zh")


def test_a_room_that_the_list_does_not_have_is_there_when_somebody_speaks_in_it():
    world = World()
    assert world.named.language(OPS) == "zh"
    assert world.named.language(group("g-evil", "ops")) == "en"


def test_a_group_that_is_likely_to_be_the_one_is_spoken_in_but_told_no_secrets():
    """Its number was remembered by its name, which another group can take on."""
    world = World(group("30001", "ops", verified=False))
    assert world.named.language(world.rooms[0]) == "zh"
    assert world.found("30001") is None


def test_a_group_whose_number_is_not_known_is_told_no_secrets_and_counts_as_one_of_that_name():
    """Numbers are looked up one after another: the stranger's may be known first."""
    world = World(group("gid:1", "ops", verified=False), group("666", "ops"))
    assert world.found("ops") is None
    assert world.named.language(world.rooms[1]) == "en"
    world.rooms = [group("name:ops", "ops", verified=False)]
    assert world.found("ops") is None
    assert world.named.language(world.rooms[0]) == "zh"
    world.rooms = [group("30001", "ops")]
    assert world.found("ops") == "30001", "the number is known now"
