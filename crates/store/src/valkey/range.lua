-- A page of ordered records at one head.
-- KEYS: 1 head, 2 index, 3 values. ARGV: 1 start and 2 end as lexicographic bounds, in the direction read,
-- 3 'REV' or '', 4 rows wanted, 5 bytes at which the page ends.
-- Answers the head, whether there is more, and keys and values in turn.
local rows, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local keys
if ARGV[3] == 'REV' then
  keys = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, rows + 1)
else
  keys = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, rows + 1)
end
local reply = { redis.call('HGET', KEYS[1], 'h'), 0 }
local wanted = math.min(#keys, rows)
for first = 1, wanted, 64 do
  local last = math.min(first + 63, wanted)
  local values = redis.call('HMGET', KEYS[3], unpack(keys, first, last))
  for i = first, last do
    local value = values[i - first + 1] or ''
    reply[#reply + 1] = keys[i]
    reply[#reply + 1] = value
    bytes = bytes - #keys[i] - #value
    if bytes <= 0 then
      if i < #keys then reply[2] = 1 end
      return reply
    end
  end
end
if wanted < #keys then reply[2] = 1 end
return reply
