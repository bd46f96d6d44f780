-- Applies changes to many keys, each judged by the entry that its key holds.
--
-- KEYS  one a change; a key may come more than once, its changes are applied in order
-- ARGV  1: a letter a change, in order; then what each of them needs, in order:
--         p  put an envelope     bytes, ttl
--         c  compare-and-set     bytes, ttl, the 8 bytes of the version that the key must hold, all zero for "no entry"
--         f  fill                bytes, ttl, the 4 bytes of the lease token that the key must hold
--         P C F                  the same, and when it was issued, where that is not the envelope's "begun"
--         t  touch               the 8 bytes of the version that the key must hold, fresh until, ttl
--         r  release a lease     the 4 bytes of its token
--         s  set foreign bytes   bytes, ttl
--         d  drop                nothing
--       ttl: ms, a whole number; '0': no expiry, and in a touch: as it was. Fresh until, issued: whole ms since the epoch.
-- Reply one element a change:
--         1        applied: the key holds it (also when it held an entry of just this stamp before)
--         8 bytes  refused: the version that the key holds; all zero when it holds no entry
--         \255 and a text of more than 7 characters: failed, not applied
--
-- The order is `supersedes` of codec/envelope.ts, the verdicts are those of judge-change.ts. Versions are compared as numbers of at most 32
-- bits, for Lua's own end at 2^53 and its strings compare by locale. Nothing raises: a key of the wrong type fails alone. The time is this
-- server's alone, and asked for once.
--
-- Memory: the server refuses only the first write of a call that starts without room. So that a call has one answer throughout, room is
-- asked for first by a write of nothing; a change refused for lack of it that was newer than what the key holds removes that, for nothing
-- must be read that was overtaken. What would be written in place is left: a touch fails, and a lease ends by itself.

local HEADER, MAGIC, FORMAT = 38, 199, 1
local VALUE, PENDING, VACANT = 1, 3, 5
local NO_VERSION, NO_TOKEN, NO_LEASE = '\0\0\0\0\0\0\0\0', '\0\0\0\0', '\0\0\0\0\0\0\0\0'
local WRAP, HALF = 4294967296, 2147483648
local LATE_MS, MAX_LIFE_MS = 150000, 2073600000
local NO_ROOM = '\255OOM the node has no room'

local call, byte, sub, unpack = redis.call, string.byte, string.sub, struct.unpack

local room = redis.pcall('SETRANGE', KEYS[1], '0', '')
local full = type(room) == 'table' and room.err ~= nil and string.find(room.err, 'OOM', 1, true) ~= nil

local now

local function clock()
  if not now then
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return now
end

-- The header that a key holds, and its kind; nothing when it holds no entry.
local function entry(key)
  local held = call('GETRANGE', key, '0', '37')
  local magic, format, kind = byte(held, 1, 3)
  if format == FORMAT and magic == MAGIC and #held == HEADER then
    return held, kind
  end
end

local function store(key, bytes, ttl)
  if full then
    call('DEL', key)
    return NO_ROOM .. ', and holds nothing under the key any more'
  end
  if ttl == '0' then
    call('SET', key, bytes)
  else
    call('PSETEX', key, ttl, bytes)
  end
  return 1
end

local function clearLease(key)
  if not full then
    call('SETRANGE', key, '24', NO_LEASE)
  end
end

local function put(key, bytes, ttl, expected, lease, issued)
  -- Of both headers what nearly every put needs, in as few calls as that takes; the rest where versions are equal.
  local magic, _, _, _, v1, v2, v3, v4, v5, v6, v7, v8 = byte(bytes, 1, 12)
  local l1, l2, l3, l4, l5, l6, l7, l8, b1, b2, b3, b4 = byte(bytes, 25, 36)
  if #bytes < HEADER or magic ~= MAGIC then
    return '\255a put needs an envelope'
  end
  local begun = ((b1 * 256 + b2) * 256 + b3) * 256 + b4
  local age = ((now or clock()) - (issued or begun)) % WRAP
  if age > LATE_MS and age < HALF then
    return '\255LATE issued ' .. age .. ' ms ago, which is more than ' .. LATE_MS
  end
  if l1 + l2 + l3 + l4 + l5 + l6 + l7 + l8 > 0 then
    bytes = sub(bytes, 1, 24) .. NO_LEASE .. sub(bytes, 33)
  end
  local held = call('GETRANGE', key, '0', '37')
  local heldMagic, format, kind, _, h1, h2, h3, h4, h5, h6, h7, h8 = byte(held, 1, 12)
  if format ~= FORMAT or heldMagic ~= MAGIC or #held ~= HEADER then
    if lease or expected and expected ~= NO_VERSION then
      return NO_VERSION
    end
    return store(key, bytes, ttl)
  end
  if lease then
    if lease == NO_TOKEN or lease ~= sub(held, 25, 28) then
      return sub(held, 5, 12)
    end
  elseif expected then
    local version = sub(held, 5, 12)
    local live = kind == VALUE or kind == PENDING
    if live and expected ~= version or not live and expected ~= NO_VERSION then
      return version
    end
  end
  -- Two numbers of 32 bits each, in arithmetic that is exact below 2^53.
  local ahead = ((v1 - h1) * 256 + v2 - h2) * 65536 + (v3 - h3) * 256 + v4 - h4
  if ahead == 0 then ahead = ((v5 - h5) * 256 + v6 - h6) * 65536 + (v7 - h7) * 256 + v8 - h8 end
  if ahead == 0 then
    if kind == VACANT and sub(held, 5, 12) == NO_VERSION then
      return store(key, bytes, ttl)
    end
    ahead = (begun - unpack('>I4', held, 33)) % WRAP
    if ahead >= HALF then ahead = -1 end
    if ahead == 0 then
      local high, low = unpack('>I2I4', bytes, 13)
      local heldHigh, heldLow = unpack('>I2I4', held, 13)
      ahead = (high - heldHigh) * WRAP + low - heldLow
    end
  end
  if ahead > 0 then
    return store(key, bytes, ttl)
  end
  if ahead < 0 or expected then
    return sub(held, 5, 12)
  end
  if lease then
    clearLease(key)
  end
  return 1
end

local function touch(key, version, freshUntil, ttl)
  local held, kind = entry(key)
  if not held then
    return NO_VERSION
  end
  if kind ~= VALUE and kind ~= PENDING or sub(held, 5, 12) ~= version then
    return sub(held, 5, 12)
  end
  local freshHigh, freshLow, begun = unpack('>I2I4xxxxxxxxxxxxxxI4', held, 13)
  local age = (clock() - begun) % WRAP
  if age >= HALF then age = age - WRAP end
  local leftMs = MAX_LIFE_MS - age
  local fresh = math.min(tonumber(freshUntil), clock() + leftMs)
  if fresh > freshHigh * WRAP + freshLow then
    if full then
      return NO_ROOM
    end
    call('SETRANGE', key, '12', struct.pack('>I2I4', math.floor(fresh / WRAP), fresh % WRAP))
  end
  local wanted, remaining = math.min(tonumber(ttl), leftMs), call('PTTL', key)
  if remaining >= 0 and wanted > remaining then
    call('PEXPIRE', key, wanted)
  end
  return 1
end

local function release(key, token)
  local held, kind = entry(key)
  if held and token ~= NO_TOKEN and sub(held, 25, 28) == token then
    if kind == VACANT then
      call('DEL', key)
    else
      clearLease(key)
    end
  end
  return 1
end

local function apply(letter, key, at)
  local one, two, three, four = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if letter == 'c' then return put(key, one, two, three) end
  if letter == 'f' then return put(key, one, two, nil, three) end
  if letter == 'P' then return put(key, one, two, nil, nil, three) end
  if letter == 'C' then return put(key, one, two, three, nil, four) end
  if letter == 'F' then return put(key, one, two, nil, three, four) end
  if letter == 't' then return touch(key, one, two, three) end
  if letter == 'r' then return release(key, one) end
  if letter == 's' then return store(key, one, two) end
  call('DEL', key)
  return 1
end

local ARGUMENTS = { p = 2, c = 3, f = 3, P = 3, C = 4, F = 4, t = 3, r = 1, s = 2, d = 0 }

-- Of a letter that there is not nobody knows how many arguments are its own: then nothing is applied.
if #ARGV[1] ~= #KEYS or string.find(ARGV[1], '[^pcfPCFtrsd]') then
  return redis.error_reply('ERR needs a letter of pcfPCFtrsd for each of ' .. #KEYS .. ' keys, but got: ' .. ARGV[1])
end

local reply, keys, args, letters, at, i = {}, KEYS, ARGV, ARGV[1], 2, 1

local function rest()
  while i <= #keys do
    local letter, from = sub(letters, i, i), at
    at = at + ARGUMENTS[letter]
    if letter == 'p' then
      reply[i] = put(keys[i], args[from], args[from + 1])
    else
      reply[i] = apply(letter, keys[i], from)
    end
    i = i + 1
  end
end

-- What raises ends one change, and the next goes on: so there is one protected call for all, not one for each.
repeat
  local ran, raised = pcall(rest)
  if not ran then
    reply[i] = '\255' .. tostring(type(raised) == 'table' and raised.err or raised)
    i = i + 1
  end
until i > #keys
return reply
