-- MARK: takes in the evidence of one slice for one entry, and ends its lease.
-- A: 1 slice, 2 entry, 3 evidence key, 4 number of subjects, 5-10 masks (erased, nothing held, retained, failed, pending,
-- retrying), 11 due or empty, 12 note or empty.
local note = 'N' .. A[2]
local h, why = read_header(note)
if not h then return want() end
if h.final then return { 'F' } end
local slice = tonumber(A[1])
local entry = h.plan[tonumber(A[2]) + 1]
-- The header is older than the work: the ledger has to project it again.
if not entry or slice >= h.slices then return want() end
if not entry.live or entry.evidence ~= A[3] then return { 'S' } end

local name = name_of(h, entry.at, slice)
local before, lease = read_slice(h, slice, 'l' .. name)
local old = record(before, entry.at + 1)
-- Of a request of one slice the header knows the number; a number that shrinks would make a slice full too early.
local count = h.slices == 1 and math.min(h.subjects, 512) or tonumber(A[4])
local rec = new_record(math.max(old.count, math.min(count, 512)))
rec.at = old.at

-- Nothing was held, unless somebody else may have been here: another start, another projection, a mark that it is tried again.
-- Then the rows that were not found are rows that are gone.
local starts = tonumber(string.match(lease or '', ' (%d+)$') or 0)
local is_alone = starts < 2 and h.generation < 2
local fresh, all_fresh = false, true
for i = 1, rec.words do
  local whole, given, was, touched = whole_word(rec.count, i), {}, {}, 0
  for k = 1, 6 do
    given[k] = band(word_at(A[4 + k], i * 4 - 3, i * 4), whole)
    was[k] = i <= old.words and old[(k - 1) * old.words + i] or 0
    touched = bor(touched, given[k])
  end
  local doubtful = band(given[2], bnot(was[2]))
  if is_alone then doubtful = band(doubtful, bor(was[5], was[6])) end
  given[1], given[2] = bor(given[1], doubtful), band(given[2], bnot(doubtful))
  local erased, nothing_held, retained = bor(was[1], given[1]), bor(was[2], given[2]), bor(was[3], given[3])
  local done, fresh_bits = bor(erased, nothing_held, retained), bor(given[1], given[2], given[3])
  local words = rec.words
  rec[i], rec[words + i], rec[2 * words + i] = erased, nothing_held, retained
  rec[3 * words + i] = band(bor(was[4], given[4]), bnot(done))
  for k = 5, 6 do rec[(k - 1) * words + i] = band(bor(band(was[k], bnot(touched)), given[k]), bnot(done)) end
  if fresh_bits ~= 0 then fresh = true end
  if band(done, bnot(fresh_bits)) ~= 0 then all_fresh = false end
end
-- The time is that of the oldest bit; only a mark that repeats all of them renews it.
if fresh and all_fresh then rec.at = struct.pack('>I6', now_ms()) end

local set, drop = { name, format_record(rec) }, {}
if lease then drop[#drop + 1] = 'l' .. name end
if covers(rec, ENDED) then
  drop[#drop + 1] = 'd' .. name
elseif A[11] ~= '' then
  set[3], set[4] = 'd' .. name, A[11]
end
call('HSET', h.store, unpack(set))
if #drop > 0 then call('HDEL', h.store, unpack(drop)) end
local after = { unpack(before, 1, #h.plan) }
after[entry.at + 1] = rec
if not h.inline then
  if covers(rec, DONE) then set_slice(h, 'F' .. entry.at, slice) end
  bump('C' .. entry.at, count_tasks(old), count_tasks(rec))
  count_slice(h, slice, before, after)
end

-- What explains an unfinished task explains nothing once all are finished; the ground for keeping something stays.
local words = A[12] ~= '' and A[12] or h.more[1]
if words and sub(words, 1, 1) ~= 'r' and is_full(h, entry, after) then
  if h.more[1] then call('HDEL', H, note) end
elseif A[12] ~= '' then
  call('HSET', H, note, A[12])
end
return { 'O', announce(h, after) }
