-- Reads keys of all tables at one head.
-- KEYS: 1 head, 2 live, 3 cold, 4 index, 5 values. ARGV: 1 counts, then live, cold and ordered keys.
-- Answers the head and then the values, in the order of the keys.
local live, cold, ordered = struct.unpack('>I4I4I4', ARGV[1])
local reply = { redis.call('HGET', KEYS[1], 'h') }
local at = 2
local function read(key, count)
  for first = at, at + count - 1, 4000 do
    local last = math.min(first + 3999, at + count - 1)
    local values = redis.call('HMGET', key, unpack(ARGV, first, last))
    for i = 1, last - first + 1 do reply[first + i - 1] = values[i] end
  end
  at = at + count
end
read(KEYS[2], live)
read(KEYS[3], cold)
read(KEYS[5], ordered)
-- An ordered record without a value stands in the index alone.
for i = at - ordered, at - 1 do
  if not reply[i] and redis.call('ZSCORE', KEYS[4], ARGV[i]) then reply[i] = '' end
end
return reply
