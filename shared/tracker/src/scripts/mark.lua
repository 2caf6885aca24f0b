-- MARK: takes in the evidence of one slice for one entry, and ends its lease.
-- ARGV: 3 slice, 4 entry, 5 evidence key, 6 number of subjects, 7-12 masks (erased, nothing held, retained, failed, pending,
-- retrying), 13 due or empty, 14 note or empty.
local h, why = read_header()
if not h then return want() end
touch()
if h.final then return { 'F' } end
local slice, plan = tonumber(ARGV[3]), read_plan(h)
local entry = plan[tonumber(ARGV[4]) + 1]
-- The header is older than the work: the ledger has to project it again.
if not entry or slice >= h.slices then return want() end
if not entry.live or entry.evidence ~= ARGV[5] then return { 'S' } end

local name = entry.at .. '.' .. slice
local before = read_slice(h, plan, slice)
local old = before[entry.at + 1]
-- Of a request of one slice the header knows the number; a number that shrinks would make a slice full too early.
local count = h.slices == 1 and math.min(h.subjects, 512) or tonumber(ARGV[6])
local rec = new_record()
rec.count, rec.at = math.max(old.count, math.min(count, 512)), old.at

local given = {}
for k = 1, 6 do given[k] = cut(ARGV[6 + k], rec.count) end
-- Nothing was held, unless somebody else may have been here: another start, another projection, a mark that it is tried again.
-- Then the rows that were not found are rows that are gone.
local starts = tonumber(string.match(redis.call('HGET', h.store, 'l' .. name) or '', ' (%d+)$') or 0)
local is_alone = starts < 2 and h.generation < 2
for i = 1, math.ceil(rec.count / 32) do
  local doubtful = band(given[2][i], bnot(old[2][i] or 0))
  if is_alone then doubtful = band(doubtful, bor(old[5][i] or 0, old[6][i] or 0)) end
  given[1][i], given[2][i] = bor(given[1][i], doubtful), band(given[2][i], bnot(doubtful))
end
local fresh, all_fresh = false, true
for i = 1, math.ceil(rec.count / 32) do
  local touched, fresh_bits = 0, bor(given[1][i], given[2][i], given[3][i])
  for k = 1, 6 do touched = bor(touched, given[k][i]) end
  for k = 1, 3 do
    rec[k][i] = bor(old[k][i] or 0, given[k][i])
  end
  local done = bor(rec[1][i], rec[2][i], rec[3][i])
  rec[4][i] = band(bor(old[4][i] or 0, given[4][i]), bnot(done))
  for k = 5, 6 do
    rec[k][i] = band(bor(band(old[k][i] or 0, bnot(touched)), given[k][i]), bnot(done))
  end
  if fresh_bits ~= 0 then fresh = true end
  if band(done, bnot(fresh_bits)) ~= 0 then all_fresh = false end
end
-- The time is that of the oldest bit; only a mark that repeats all of them renews it.
if fresh and all_fresh then rec.at = now_ms() end

redis.call('HSET', h.store, name, format_record(rec))
redis.call('HDEL', h.store, 'l' .. name)
if ARGV[13] ~= '' then redis.call('HSET', h.store, 'd' .. name, ARGV[13]) end
if covers(rec, ENDED) then redis.call('HDEL', h.store, 'd' .. name) end
if not h.inline and covers(rec, DONE) then set_slice(h, 'F' .. entry.at, slice) end

bump('C' .. entry.at, count_tasks(old), count_tasks(rec))
local after = {}
for at, other in pairs(before) do after[at] = other end
after[entry.at + 1] = rec
count_slice(h, plan, slice, before, after)

local note = 'N' .. entry.at
if ARGV[14] ~= '' then redis.call('HSET', H, note, ARGV[14]) end
-- What explains an unfinished task explains nothing once all are finished; the ground for keeping something stays.
if is_full(h, entry) and string.sub(redis.call('HGET', H, note) or 'r', 1, 1) ~= 'r' then redis.call('HDEL', H, note) end
return { 'O', announce(h, plan) }
