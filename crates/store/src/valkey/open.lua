-- Writes format and partition count if they are not there (unless they are empty), and answers what is.
-- KEYS: 1 store. ARGV: 1 format, 2 partitions.
local format, partitions = unpack(redis.call('HMGET', KEYS[1], 'format', 'partitions'))
if not format and not partitions and ARGV[1] ~= '' then
  format, partitions = ARGV[1], ARGV[2]
  redis.call('HSET', KEYS[1], 'format', format, 'partitions', partitions)
end
return { format or '0', partitions or '0' }
