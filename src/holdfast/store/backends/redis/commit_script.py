"""The script that commits a batch: every commit of it decided behind those before it, and then written as one."""

from typing import Final

from holdfast.store.backends.redis.script import KNOWN, script
from holdfast.store.state import REMEMBERED_SECONDS

__all__ = ("COMMIT",)

KEPT: Final = int(REMEMBERED_SECONDS * 1000) + 120_000
STEP: Final = 60_000

COMMIT: Final = script(
    KNOWN
    + f"local KEPT, STEP = {KEPT}, {STEP}"
    + r"""
-- KEYS 1 meta, 2 recent, 3 entities, 4 streams, then versions, values, ids of each entity name, then each stream.
-- ARGV[3] the batch; ARGV[4] '1' where WAIT follows, '2' where the memory kept for vital commits may be used.
local batch = cmsgpack.unpack(ARGV[3])
local members, entities, streams = batch[1], batch[2], batch[3]
local function versions_of(e) return KEYS[2 + 3 * e] end
local function values_of(e) return KEYS[3 + 3 * e] end
local function ids_of(e) return KEYS[4 + 3 * e] end
local function events_of(s) return KEYS[4 + 3 * #entities + s] end

-- 1. Nothing may fail later: the user's rights and every key's type.
for _, command in ipairs({{'HSET', 1, 'f', 'v'}, {'HDEL', 1, 'f'}, {'ZADD', 2, '0', 'm'}, {'ZREM', 2, 'm'},
    {'ZREMRANGEBYRANK', 2, '0', '0'}, {'XADD', 4, '*', 'f', 'v'}}) do
  local key = KEYS[command[2]]
  if not redis.acl_check_cmd(command[1], key, unpack(command, 3)) then
    return redis.error_reply('NOPERM this user may not run ' .. command[1] .. ' on ' .. key)
  end
end
local function typed(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= expected and found ~= 'none' then return key .. ' is a ' .. found .. ' and no ' .. expected end
end
local wrong = typed(KEYS[2], 'zset') or typed(KEYS[3], 'zset') or typed(KEYS[4], 'zset')
for e = 1, #entities do
  wrong = wrong or typed(versions_of(e), 'hash') or typed(values_of(e), 'hash') or typed(ids_of(e), 'zset')
end
local numbers = {}
for s = 1, #streams do
  wrong = wrong or typed(events_of(s), 'stream')
  numbers[s] = 0
  if not wrong and redis.call('TYPE', events_of(s)).ok == 'stream' then
    local facts = redis.call('XINFO', 'STREAM', events_of(s))
    for i = 1, #facts, 2 do
      if facts[i] == 'last-generated-id' then numbers[s] = tonumber(string.match(facts[i + 1], '^%d+')) end
    end
  end
end
if wrong then return redis.error_reply('WRONGTYPE ' .. wrong) end

-- 2. Decide every commit behind those before it.
local found_versions, stored = {}, {}   -- per entity name: id -> version as it will be, as it is (false: absent)
local puts, events, counted = {}, {}, {}
for e = 1, #entities do found_versions[e], stored[e], puts[e] = {}, {}, {} end
local function version(e, id)
  if found_versions[e][id] == nil then
    stored[e][id] = redis.call('HGET', versions_of(e), id)
    found_versions[e][id] = stored[e][id]
  end
  return found_versions[e][id]
end
local now_seen, outcomes = {}, {}
local function clash(member)
  for _, expected in ipairs(member[2]) do
    local found = version(expected[2], expected[3])
    if found ~= expected[4] then return '!' .. expected[1] .. ':' .. (found or '') end
  end
end
for m, member in ipairs(members) do
  local id = member[1]
  if now_seen[id] or redis.call('ZSCORE', KEYS[2], id) then
    outcomes[m] = '='
  else
    outcomes[m] = clash(member) or '+'
  end
  if outcomes[m] == '+' then
    now_seen[id] = true
    counted[#counted + 1] = id
    for _, put in ipairs(member[3]) do
      version(put[1], put[2])
      found_versions[put[1]][put[2]], puts[put[1]][put[2]] = id, put[3]
    end
    for _, gone in ipairs(member[4]) do
      version(gone[1], gone[2])
      found_versions[gone[1]][gone[2]], puts[gone[1]][gone[2]] = false, false
    end
    for _, append in ipairs(member[5]) do
      numbers[append[1]] = numbers[append[1]] + 1
      events[#events + 1] = {append[1], numbers[append[1]], id, append[2]}
    end
  end
end

-- 3. Write. The first write is one that Redis refuses where memory, disk or role do not allow it.
if ARGV[4] == '2' then redis.call('HDEL', KEYS[1], 'vital') end
if #counted == 0 then
  if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'waited', 1) end   -- WAIT waits for a write of this connection
  return {head, table.concat(outcomes, '\0')}
end
-- The clock that commit ids are forgotten by: a server's clock that jumps ahead moves it by a minute at most.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local passed = now - (tonumber(meta[4]) or now)
local clock = (tonumber(meta[3]) or 0) + math.max(0, math.min(passed, STEP))
head = head + #counted
redis.call('HSET', KEYS[1], 'head', head, 'clock', clock, 'seen', now)
for _, id in ipairs(counted) do redis.call('ZADD', KEYS[2], clock, id) end
local old = redis.call('ZCOUNT', KEYS[2], '-inf', clock - KEPT)
if old > 0 then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, math.min(old, 1000 + 2 * #counted) - 1) end
for _, event in ipairs(events) do
  local number = string.format('%.0f-0', event[2])
  redis.call('XADD', events_of(event[1]), number, 'version', event[3], 'value', event[4])
  if event[2] == 1 then redis.call('ZADD', KEYS[4], 0, streams[event[1]]) end
end
-- Puts before deletes: a key that the script has emptied is not touched again.
for e = 1, #entities do
  local some, gone = false, {}
  for id, value in pairs(puts[e]) do
    if value then
      some = true
      redis.call('HSET', values_of(e), id, value)
      redis.call('HSET', versions_of(e), id, found_versions[e][id])
      redis.call('ZADD', ids_of(e), 0, id)
    elseif stored[e][id] then
      gone[#gone + 1] = id
    end
  end
  if some then redis.call('ZADD', KEYS[3], 0, entities[e]) end
  if #gone > 0 then
    local left = redis.call('ZCARD', ids_of(e)) - #gone
    for _, id in ipairs(gone) do
      redis.call('HDEL', values_of(e), id)
      redis.call('HDEL', versions_of(e), id)
      redis.call('ZREM', ids_of(e), id)
    end
    if left <= 0 then redis.call('ZREM', KEYS[3], entities[e]) end
  end
end
return {head, table.concat(outcomes, '\0')}
""",
    int,
    bytes,
)
