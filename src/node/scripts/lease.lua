-- Grants the right to load keys, each to one caller at a time.
--
-- KEYS  one an ask; a key may come more than once, its asks are judged in order
-- ARGV  1: 27 bytes an ask, in order, all numbers big-endian:
--          token 4, not zero · lease ms 4, from 1 to 2^31 - 1 · of what the caller saw: version 8, fresh until 6, begun 4 · force 1, or 0
-- Reply one element an ask:
--         0         granted, in a vacant entry where there was none
--         n > 0     held by another, for n ms at most
--         \0 and 18 bytes: granted; of what the key holds: version 8, fresh until 6, begun 4
--         an envelope (it begins with \199): changed: this lies there, live and later than what the caller saw; no lease was taken
--         \255 and a text: failed, no lease was taken
--
-- The verdicts are those of judge-lease.ts, the order is that of apply.lua. Bytes that are no envelope of this format count as nothing: a
-- vacant entry takes their place, and without room nothing does. Nothing raises: a key of the wrong type fails alone, and without room so
-- does each key that would be written.
-- The time is this server's alone.

local HEADER, MAGIC, FORMAT = 38, 199, 1
local VALUE, NEGATIVE, PENDING = 1, 2, 3
local VACANT_BEFORE_LEASE, VACANT_AFTER_LEASE = '\199\1\5\0' .. string.rep('\0', 20), string.rep('\0', 6)
local WRAP, HALF = 4294967296, 2147483648
local NO_ROOM = '\255OOM the node has no room'

local call, byte, sub, unpack, pack = redis.call, string.byte, string.sub, struct.unpack, struct.pack

local room = redis.pcall('SETRANGE', KEYS[1], '0', '')
local full = type(room) == 'table' and room.err ~= nil and string.find(room.err, 'OOM', 1, true) ~= nil

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whether what a key holds is later than what the caller saw. A stamp of zeros is that of nothing, and everything is later.
local function isLater(held, high, low, freshHigh, freshLow, begun)
  if high == 0 and low == 0 and freshHigh == 0 and freshLow == 0 and begun == 0 then
    return true
  end
  local heldHigh, heldLow, heldFreshHigh, heldFreshLow, heldBegun = unpack('>I4I4I2I4xxxxxxxxxxxxxxI4', held, 5)
  local ahead = heldHigh - high
  if ahead == 0 then ahead = heldLow - low end
  if ahead == 0 then
    ahead = (heldBegun - begun) % WRAP
    if ahead >= HALF then ahead = -1 end
  end
  if ahead == 0 then ahead = heldFreshHigh - freshHigh end
  if ahead == 0 then ahead = heldFreshLow - freshLow end
  return ahead > 0
end

local function lease(key, at)
  local token, leaseMs, high, low, freshHigh, freshLow, begun, force = unpack('>I4I4I4I4I2I4I4B', ARGV[1], at)
  local mark = pack('>I4I4', token, (now + leaseMs) % WRAP)
  local held = call('GETRANGE', key, '0', '37')
  local magic, format, kind = byte(held, 1, 3)
  if format ~= FORMAT or magic ~= MAGIC or #held ~= HEADER then
    if full then
      call('DEL', key)
      return NO_ROOM
    end
    call('SET', key, VACANT_BEFORE_LEASE .. mark .. VACANT_AFTER_LEASE, 'PX', leaseMs)
    return 0
  end
  local live = kind == VALUE or kind == NEGATIVE or kind == PENDING
  if live and force == 0 and isLater(held, high, low, freshHigh, freshLow, begun) then
    return call('GET', key)
  end
  local holder, untilMs = unpack('>I4I4', held, 25)
  local left = (untilMs - now) % WRAP
  if holder ~= 0 and holder ~= token and force == 0 and left > 0 and left < HALF then
    return left
  end
  if full then
    return NO_ROOM
  end
  call('SETRANGE', key, '24', mark)
  local remaining = call('PTTL', key)
  if remaining >= 0 and remaining < leaseMs then
    call('PEXPIRE', key, leaseMs)
  end
  return '\0' .. sub(held, 5, 18) .. sub(held, 33, 36)
end

local reply = {}
for i = 1, #KEYS do
  local ran, answer = pcall(lease, KEYS[i], 27 * i - 26)
  if not ran then
    answer = '\255' .. tostring(type(answer) == 'table' and answer.err or answer)
  end
  reply[i] = answer
end
return reply
