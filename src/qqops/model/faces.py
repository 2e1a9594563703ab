"""The classic QQ emoticons elsewhere: as an emoji where there is one that looks alike. Source: QQ's own picker."""

from __future__ import annotations

#: By number. Those that have moved or changed their look over the years are left out.
_EMOJI = {
    0: "😲", 1: "😖", 2: "😍", 3: "😳", 4: "😎", 5: "😭", 6: "😊", 7: "🤐", 8: "😴", 9: "😢", 10: "😅", 11: "😡",
    12: "😜", 13: "😁", 14: "🙂", 15: "🙁", 16: "😎", 18: "😫", 19: "🤮", 20: "🤭", 21: "😊", 22: "🙄", 23: "😤", 24: "🤤",
    25: "🥱", 26: "😱", 27: "😓", 28: "😄", 30: "💪", 31: "🤬", 32: "❓", 33: "🤫", 34: "😵", 37: "💀", 38: "🔨",
    39: "👋", 46: "🐷", 49: "🤗", 53: "🎂", 54: "⚡", 55: "💣", 56: "🔪", 57: "⚽", 59: "💩", 60: "☕", 61: "🍚", 63: "🌹",
    64: "🥀", 66: "❤", 67: "💔", 69: "🎁", 74: "🌞", 75: "🌙", 76: "👍", 77: "👎", 78: "🤝", 79: "✌", 85: "😘", 89: "🍉",
    96: "😰", 99: "👏", 101: "😏", 104: "🥱", 106: "🥺", 108: "😈", 109: "😚", 111: "🥺", 112: "🔪", 113: "🍺", 114: "🏀",
    115: "🏓", 116: "💋", 117: "🐞", 118: "🙏", 120: "✊", 121: "👎", 122: "🤟", 124: "👌",
}  # fmt: skip


def emoji(number: int) -> str:
    """Return what stands for the emoticon *number* where there are none: an emoji, else its number in brackets."""
    return _EMOJI.get(number) or f"[face:{number}]"
