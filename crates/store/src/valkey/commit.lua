-- Applies a batch if the partition's head is the expected one. The only thing that ever writes a partition.
-- KEYS: 1 head, 2 live, 3 cold, 4 index, 5 values, 6 log
-- ARGV: 1 expected head, 2 next head, 3 committer's field, 4 committer's value, 5 log entry, 6 counts, then the
-- keys and values in the order of the counts. Everything goes to the server in few calls with many arguments.
-- Answers 1 applied, 2 applied by an earlier send, the head on conflict, or the positions of present keys.
local head, sent, kept = unpack(redis.call('HMGET', KEYS[1], 'h', ARGV[3], 'b'))
if (head or '') ~= ARGV[1] then
  if sent == ARGV[4] then return 2 end
  return head or ''
end
local no_live, no_cold, no_ordered, del_ordered, del_values, del_live, del_cold, put_live, put_cold, put_values,
  put_index = struct.unpack('>I4I4I4I4I4I4I4I4I4I4I4', ARGV[6])
local at = 7

if no_live + no_cold + no_ordered > 0 then
  local present = {}
  local function absent(command, key, count)
    for first = at, at + count - 1, 4000 do
      local last = math.min(first + 3999, at + count - 1)
      local found = redis.call(command, key, unpack(ARGV, first, last))
      for i = 1, last - first + 1 do
        if found[i] then present[#present + 1] = first + i - 8 end
      end
    end
    at = at + count
  end
  absent('HMGET', KEYS[2], no_live)
  absent('HMGET', KEYS[3], no_cold)
  absent('ZMSCORE', KEYS[4], no_ordered)
  if #present > 0 then return present end
end

-- Lua's stack holds some 8,000 values, hence the chunks. They are even, for pairs.
local function send(command, key, count)
  while count > 4000 do
    redis.call(command, key, unpack(ARGV, at, at + 3999))
    at = at + 4000
    count = count - 4000
  end
  if count > 0 then
    redis.call(command, key, unpack(ARGV, at, at + count - 1))
    at = at + count
  end
end
-- Deletes first: the server checks its memory limit only at a script's first write and only if that one takes
-- memory, so a batch that frees something passes even at the limit.
send('ZREM', KEYS[4], del_ordered)
at = at - del_ordered
send('HDEL', KEYS[5], del_values)
send('HDEL', KEYS[2], del_live)
send('HDEL', KEYS[3], del_cold)
send('HSET', KEYS[2], put_live)
send('HSET', KEYS[3], put_cold)
send('HSET', KEYS[5], put_values)
send('ZADD', KEYS[4], put_index)

-- One entry a batch, so an entry's version follows from its place. `b` is the log's size in bytes.
local log, entry = KEYS[6], ARGV[5]
local length = redis.call('RPUSH', log, entry)
kept = (tonumber(kept) or 0) + #entry
if length > 1152 then
  for _, old in ipairs(redis.call('LPOP', log, length - 1024)) do kept = kept - #old end
  length = 1024
end
while kept > 2097152 and length > 1 do
  kept = kept - #redis.call('LPOP', log)
  length = length - 1
end
redis.call('HSET', KEYS[1], 'h', ARGV[2], ARGV[3], ARGV[4], 'b', kept)
return 1
