-- Applies changes to many keys, each judged by the version that its key holds.
--
-- KEYS  one a change; a key may come more than once, its changes are applied in order
-- ARGV  four a change:
--         op        'p' put an envelope, 's' set foreign bytes, 'd' drop
--         bytes     what to store; '' for a drop
--         ttl       milliseconds, a whole number; '0': no expiry
--         expected  for a compare-and-set the 8 bytes of the version that the key must hold, all zero for "no entry"; else ''
-- Reply one element a change:
--         1         applied: the key holds it (also when it held exactly this version and fresh-until before)
--         8 bytes   refused: the version that the key holds; all zero when it holds no entry
--         \255 and a text: failed, not applied
--
-- The order is `supersedes` of codec/envelope.ts: a newer version, or an equal one that is fresh for longer; bytes that are no envelope
-- give way. Versions are compared as numbers of at most 32 bits, for Lua's own end at 2^53 and its strings compare by locale. Nothing
-- raises: a key of the wrong type fails alone.
--
-- Memory: the server refuses only the first write of a call that starts without room. So that a call has one answer throughout, room is
-- asked for first by a write of nothing; a change refused for lack of it that was newer than what the key holds removes that, for nothing
-- must be read that was overtaken.

local NO_VERSION = '\0\0\0\0\0\0\0\0'
local HEADER, MAGIC, FORMAT = 38, 199, 1
local VALUE, PENDING = 1, 3

local room = redis.pcall('SETRANGE', KEYS[1], 0, '')
local full = type(room) == 'table' and room.err ~= nil and string.find(room.err, 'OOM', 1, true) ~= nil

local function store(key, bytes, ttl)
  if full then
    redis.call('DEL', key)
    return '\255OOM the node has no room, and holds nothing under the key any more'
  end
  if ttl == '0' then
    redis.call('SET', key, bytes)
  else
    redis.call('SET', key, bytes, 'PX', ttl)
  end
  return 1
end

local function put(key, bytes, ttl, expected)
  if #bytes < HEADER or string.byte(bytes, 1) ~= MAGIC then
    return '\255a put needs an envelope'
  end
  local held = redis.call('GETRANGE', key, 0, HEADER - 1)
  local magic, format, kind = string.byte(held, 1, 3)
  if #held < HEADER or magic ~= MAGIC or format ~= FORMAT then
    if expected ~= '' and expected ~= NO_VERSION then
      return NO_VERSION
    end
    return store(key, bytes, ttl)
  end
  local version = string.sub(held, 5, 12)
  if expected ~= '' then
    local live = kind == VALUE or kind == PENDING
    if live and expected ~= version or not live and expected ~= NO_VERSION then
      return version
    end
  end
  local oldHigh, oldLow, oldFreshHigh, oldFreshLow = struct.unpack('>I4I4I2I4', string.sub(held, 5, 18))
  local high, low, freshHigh, freshLow = struct.unpack('>I4I4I2I4', string.sub(bytes, 5, 18))
  local ahead = high - oldHigh
  if ahead == 0 then ahead = low - oldLow end
  if ahead == 0 then ahead = freshHigh - oldFreshHigh end
  if ahead == 0 then ahead = freshLow - oldFreshLow end
  if ahead > 0 then
    return store(key, bytes, ttl)
  end
  if ahead == 0 and expected == '' then
    return 1
  end
  return version
end

local function apply(key, op, bytes, ttl, expected)
  if op == 'p' then
    return put(key, bytes, ttl, expected)
  end
  if op == 's' then
    return store(key, bytes, ttl)
  end
  redis.call('DEL', key)
  return 1
end

local reply = {}
for i = 1, #KEYS do
  local at = 4 * i
  local ran, status = pcall(apply, KEYS[i], ARGV[at - 3], ARGV[at - 2], ARGV[at - 1], ARGV[at])
  if not ran then
    status = '\255' .. tostring(type(status) == 'table' and status.err or status)
  end
  reply[i] = status
end
return reply
