"""A script as the server knows it, and a call of one; and the Lua that several of them share."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

__all__ = ("JOINED", "KNOWN", "Call", "Script", "script")


class Script(Struct, frozen=True):
    """A script, the name by which the server knows it once it has seen it, and the types of what it answers."""

    source: str
    sha: str
    answers: tuple[type, ...]


class Call(Struct, frozen=True):
    """A script with its keys and arguments, and the commands that follow it in the same round trip."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]
    then: tuple[tuple[Any, ...], ...] = ()

    def command(self, *, whole: bool) -> tuple[Any, ...]:
        """Return the command: by the script's name, or with its `whole` text, which the server then keeps."""
        name, text = ("EVAL", self.script.source) if whole else ("EVALSHA", self.script.sha)
        return (name, text, len(self.keys), *self.keys, *self.arguments)


def script(source: str, *answers: type) -> Script:
    """Return a script of that text, which answers a list of those types."""
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), answers)


KNOWN: Final = """
-- KEYS[1] meta; ARGV[1] the head that the caller knows, ARGV[2] the incarnation
local meta = redis.call('HMGET', KEYS[1], 'incarnation', 'head', 'clock', 'seen')
local head = tonumber(meta[2]) or 0
if meta[1] ~= ARGV[2] or head < tonumber(ARGV[1]) then
  return redis.error_reply('WENTBACK ' .. head)
end
"""

JOINED: Final = r"""
-- Values joined by NUL, sixteen at a time: one string of them all takes Lua three times as long.
local function joined(values)
  local pieces = {}
  for i = 1, #values, 16 do
    pieces[#pieces + 1] = table.concat(values, '\0', i, math.min(i + 15, #values))
  end
  return pieces
end
"""
