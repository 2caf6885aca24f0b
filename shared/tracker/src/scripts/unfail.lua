-- UNFAIL: takes tasks off the parked ones, for a redrive. Evidence is not touched.
-- ARGV: 3 slice, 4 entry, 5 mask.
local h = read_header()
if not h then return want() end
touch()
if h.final then return { 'F' } end
local slice, plan = tonumber(ARGV[3]), read_plan(h)
local entry = plan[tonumber(ARGV[4]) + 1]
if not entry or slice >= h.slices then return want() end
if not entry.live then return { 'S' } end

local name = entry.at .. '.' .. slice
local before = read_slice(h, plan, slice)
local old = before[entry.at + 1]
if old.count < 1 then return { 'O', 0 } end
local mask, rec = cut(ARGV[5], old.count), new_record()
rec.count, rec.at = old.count, old.at
for k = 1, 6 do rec[k] = old[k] end
rec[4] = {}
for i = 1, math.ceil(rec.count / 32) do rec[4][i] = band(old[4][i], bnot(mask[i])) end
redis.call('HSET', h.store, name, format_record(rec))
bump('C' .. entry.at, count_tasks(old), count_tasks(rec))
local after = {}
for at, other in pairs(before) do after[at] = other end
after[entry.at + 1] = rec
count_slice(h, plan, slice, before, after)
return { 'O', 0 }
