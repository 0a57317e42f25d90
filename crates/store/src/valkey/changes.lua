-- Live keys changed since a head, with their present values.
-- KEYS: 1 head, 2 live, 3 log. ARGV: 1 the head asked about ('' is that of an empty partition), 2 its version.
-- Answers 0 if that is too old or unknown, else the head, then keys and values in turn.
local head = redis.call('HGET', KEYS[1], 'h') or ''
if head == ARGV[1] then return { head } end
local batches = (head == '' and 0 or struct.unpack('>I8', head, 9)) - tonumber(ARGV[2])
if batches <= 0 then return 0 end
local first, entries = 1, nil
if ARGV[1] == '' then
  entries = redis.call('LRANGE', KEYS[3], -batches, -1)
else
  -- The entry of the head asked about must be there, and be that of this very head.
  entries = redis.call('LRANGE', KEYS[3], -batches - 1, -1)
  if string.sub(entries[1] or '', 1, 44) ~= ARGV[1] then return 0 end
  first = 2
end
if #entries ~= batches + first - 1 then return 0 end
local keys, seen = {}, {}
for i = first, #entries do
  local entry, at = entries[i], 45
  while at <= #entry do
    local key
    key, at = struct.unpack('>I2c0', entry, at)
    if not seen[key] then
      seen[key] = true
      keys[#keys + 1] = key
    end
  end
end
local reply = { head }
for from = 1, #keys, 4000 do
  local to = math.min(from + 3999, #keys)
  local values = redis.call('HMGET', KEYS[2], unpack(keys, from, to))
  for i = from, to do
    reply[#reply + 1] = keys[i]
    reply[#reply + 1] = values[i - from + 1]
  end
end
return reply
