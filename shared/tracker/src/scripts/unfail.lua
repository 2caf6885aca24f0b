-- UNFAIL: takes tasks off the parked ones, for a redrive. Evidence is not touched.
-- A: 1 slice, 2 entry, 3 mask.
local h = read_header()
if not h then return want() end
if h.final then return { 'F' } end
local slice, entry = tonumber(A[1]), h.plan[tonumber(A[2]) + 1]
if not entry or slice >= h.slices then return want() end
if not entry.live then return { 'S' } end

local before = read_slice(h, slice)
local old = record(before, entry.at + 1)
if old.count < 1 then return { 'O', 0 } end
local rec, words = new_record(old.count), old.words
rec.at = old.at
for i = 1, 6 * words do rec[i] = old[i] end
for i = 1, words do rec[3 * words + i] = band(old[3 * words + i], bnot(word_at(A[3], i * 4 - 3, i * 4))) end
call('HSET', h.store, name_of(h, entry.at, slice), format_record(rec))
if not h.inline then
  bump('C' .. entry.at, count_tasks(old), count_tasks(rec))
  local after = { unpack(before, 1, #h.plan) }
  after[entry.at + 1] = rec
  count_slice(h, slice, before, after)
end
return { 'O', 0 }
