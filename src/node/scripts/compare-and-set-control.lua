-- Writes a control record if it is byte for byte what the caller read.
--
-- KEYS  1: the record
-- ARGV  1: '1' if there must be a record, '0' if there must be none
--       2: the bytes it must hold; '' if there must be none
--       3: the bytes to write, without expiry
-- Reply 1 if it was written, 0 if it held something else

local held = redis.call('GET', KEYS[1])
local present = held ~= false
if present ~= (ARGV[1] == '1') or present and held ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3])
return 1
