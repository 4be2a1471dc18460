"""The Lua that runs inside the server: one script is one step that nobody sees half of.

Redis does not roll back a script that fails on its way. So each decides everything before its first write, on what it
has read, and then only writes what cannot fail: types are known to be ours, the user's right to each command has been
asked for, every key is declared (a cluster that is moving the slot refuses the script as a whole), nothing is read from
a key that the script itself has emptied. Whether memory is left, the disk can be written and this is no replica, is
decided by Redis at the first write of a script, and holds for all of it.

Every script starts by comparing the namespace with what the caller knows of it: after FLUSHALL, a failover or a
restored backup it answers WENTBACK and does nothing.
"""

from typing import Final

from holdfast.store.backends.redis.commit_script import COMMIT
from holdfast.store.backends.redis.script import JOINED, KNOWN, Call, Script, script

__all__ = ("BIND", "COMMIT", "EVENTS", "GET", "INDEX", "LAST", "SCAN", "Call", "Script")

BIND: Final = script(
    """
-- What a new connection asks first: KEYS meta, recent; ARGV format, a fresh incarnation or '' (then nothing is
-- made), the namespace, the newest commit that the caller was told of or ''.
if ARGV[2] ~= '' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'incarnation', ARGV[2], 'namespace', ARGV[3], 'head', '0')
end
local found = redis.call('HMGET', KEYS[1], 'format', 'incarnation', 'head')
local remembers = ARGV[4] == '' or redis.call('ZSCORE', KEYS[2], ARGV[4])
return {found[1] or '', found[2] or '', found[3] or '', remembers and 1 or 0}
""",
    bytes,
    bytes,
    bytes,
    int,
)

GET: Final = script(
    KNOWN
    + JOINED
    + r"""
-- KEYS 1 meta, then versions and values of each entity name; ARGV[3] pairs of entity name's number and id.
local versions, values = {}, {}
for i, key in ipairs(cmsgpack.unpack(ARGV[3])) do
  versions[i] = redis.call('HGET', KEYS[2 * key[1]], key[2]) or ''
  values[i] = redis.call('HGET', KEYS[2 * key[1] + 1], key[2]) or ''
end
return {head, #versions, table.concat(versions, '\0'), joined(values)}
""",
    int,
    int,
    bytes,
    list,
)

SCAN: Final = script(
    KNOWN
    + JOINED
    + r"""
-- KEYS 1 meta, 2 versions, 3 values, 4 ids; ARGV[3] where to begin, ARGV[4] how many.
local ids = redis.call('ZRANGEBYLEX', KEYS[4], ARGV[3], '+', 'LIMIT', 0, ARGV[4])
if #ids == 0 then return {head, 0, '', '', {}} end
local versions, values = redis.call('HMGET', KEYS[2], unpack(ids)), redis.call('HMGET', KEYS[3], unpack(ids))
for i = 1, #ids do versions[i], values[i] = versions[i] or '', values[i] or '' end
return {head, #ids, table.concat(ids, '\0'), table.concat(versions, '\0'), joined(values)}
""",
    int,
    int,
    bytes,
    bytes,
    list,
)

INDEX: Final = script(
    KNOWN
    + r"""
-- KEYS 1 meta, 2 the names; ARGV[3] where to begin, ARGV[4] how many.
local names = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[3], '+', 'LIMIT', 0, ARGV[4])
return {head, #names, table.concat(names, '\0')}
""",
    int,
    int,
    bytes,
)

EVENTS: Final = script(
    KNOWN
    + JOINED
    + r"""
-- KEYS 1 meta, 2 the stream; ARGV[3] the first number, ARGV[4] how many.
local numbers, versions, values = {}, {}, {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])) do
  numbers[i], versions[i], values[i] = entry[1], entry[2][2] or '', entry[2][4] or ''
end
return {head, #numbers, table.concat(numbers, '\0'), table.concat(versions, '\0'), joined(values)}
""",
    int,
    int,
    bytes,
    bytes,
    list,
)

LAST: Final = script(
    KNOWN
    + r"""
-- KEYS 1 meta, 2 the stream.
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {head, #newest, newest[1] and newest[1][1] or ''}
""",
    int,
    int,
    bytes,
)
