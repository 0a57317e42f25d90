-- A page of cold records at one head.
-- KEYS: 1 head, 2 cold. ARGV: 1 cursor, 2 run id of the server that gave it, 3 bytes and 4 records at which the page ends.
-- Answers head, run id, next cursor, then keys and values in turn.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
-- A cursor means nothing to another server, whose hash has another seed: begin again there.
local cursor = ARGV[2] == run and ARGV[1] or '0'
local bytes, records = tonumber(ARGV[3]), tonumber(ARGV[4])
local reply = { redis.call('HGET', KEYS[1], 'h'), run, cursor }
-- In small steps: some values are short, some a MiB, and a reply has to stay near the size asked for.
repeat
  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 16)
  cursor = page[1]
  for _, part in ipairs(page[2]) do
    reply[#reply + 1] = part
    bytes = bytes - #part
  end
until cursor == '0' or bytes <= 0 or #reply > 2 * records
reply[3] = cursor
return reply
