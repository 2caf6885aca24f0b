-- CLAIM: which tasks are done, the wrapped key; records a lease and a start.
-- ARGV: 3 slice, 4 phase, 5 subsystem, 6 evidence key, 7 length of the lease in milliseconds.
local h, why = read_header()
if not h then
  if why == 'X' then return { 'X' } end
  return want()
end
touch()
if h.final then return { 'F' } end
local slice = tonumber(ARGV[3])
local found
local replaces, asked = false, false
for _, entry in ipairs(read_plan(h)) do
  if entry.live and entry.who == ARGV[4] .. ARGV[5] then found, replaces = entry, asked end
  if string.sub(entry.who, 2) == ARGV[5] then asked = true end
end
local key = redis.call('HMGET', H, 'K', 'k')
-- The header is older than the work: the ledger has to project it again.
if not found or slice >= h.slices or not key[1] or not key[2] then return want() end
if found.evidence ~= ARGV[6] then return { 'S', found.evidence } end

local name = found.at .. '.' .. slice
local stored = redis.call('HMGET', h.store, name, 'l' .. name)
local rec, now = parse_record(stored[1]), now_ms()
local starts = tonumber(string.match(stored[2] or '', ' (%d+)$') or 0)
-- Where every task has ended, nobody works: a lease would only keep away whoever comes once they are open again.
if not covers(rec, ENDED) then
  redis.call('HSET', h.store, 'l' .. name, string.format('%.0f %d', now + tonumber(ARGV[7]), starts + 1))
end
local done = {}
for i = 1, math.ceil(rec.count / 32) do
  done[i] = bor(rec[1][i], rec[2][i], rec[3][i])
  -- Marks, like an entry in whose place this one is, say that somebody was here, though no start is left on record.
  if bor(done[i], rec[5][i], rec[6][i]) ~= 0 then replaces = true end
end
if replaces then starts = math.max(starts, 1) end
local width = math.ceil(rec.count / 8)
return { 'O', found.at, bytes_of(done, width), bytes_of(rec[4], width), key[1], key[2], starts, h.generation, now }
