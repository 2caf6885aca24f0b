-- CLAIM: which tasks are done, the wrapped key; records a lease and a start.
-- A: 1 slice, 2 phase, 3 subsystem, 4 evidence key, 5 length of the lease in milliseconds.
local h, why = read_header('K', 'k')
if not h then
  if why == 'X' then return { 'X' } end
  return want()
end
if h.final then return { 'F' } end
local slice, key, wrapped = tonumber(A[1]), h.more[1], h.more[2]
local found
local replaces, asked = false, false
for _, entry in ipairs(h.plan) do
  if entry.name == A[3] then
    if entry.live and entry.phase == A[2] then found, replaces = entry, asked end
    asked = true
  end
end
-- The header is older than the work: the ledger has to project it again.
if not found or slice >= h.slices or not key or not wrapped then return want() end
if found.evidence ~= A[4] then return { 'S', found.evidence } end

local name = name_of(h, found.at, slice)
local stored = call('HMGET', h.store, name, 'l' .. name)
local rec, now = parse_record(stored[1]), now_ms()
local starts = tonumber(string.match(stored[2] or '', ' (%d+)$') or 0)
-- Where every task has ended, nobody works: a lease would only keep away whoever comes once they are open again.
if not covers(rec, ENDED) then
  call('HSET', h.store, 'l' .. name, string.format('%.0f %d', now + tonumber(A[5]), starts + 1))
end
local done, words = {}, rec.words
for i = 1, words do
  done[i] = bor(rec[i], rec[words + i], rec[2 * words + i])
  -- Marks, like an entry in whose place this one is, say that somebody was here, though no start is left on record.
  if bor(done[i], rec[4 * words + i], rec[5 * words + i]) ~= 0 then replaces = true end
end
if replaces then starts = math.max(starts, 1) end
local width = math.ceil(rec.count / 8)
local failed = bytes_of(rec, 3 * words + 1, width)
return { 'O', found.at, bytes_of(done, 1, width), failed, key, wrapped, starts, h.generation, now }
