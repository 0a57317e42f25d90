-- A page of live records at one head.
-- KEYS: 1 head, 2 live. ARGV: 1 cursor, 2 run id of the server that gave it, 3 records wanted.
-- Answers head, run id, next cursor, records.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
-- A cursor means nothing to another server, whose hash has another seed: begin again there.
local cursor = ARGV[2] == run and ARGV[1] or '0'
local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', ARGV[3])
return { redis.call('HGET', KEYS[1], 'h'), run, page[1], page[2] }
