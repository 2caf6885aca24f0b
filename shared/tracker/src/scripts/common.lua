-- Shared by the scripts on requests: it is put in front of each of them, and each.lua behind. What is between is the body of a
-- function, called once for each request with its arguments in A. All requests of a call are of one partition.
-- KEYS: 1 want stream, 2 outbox stream, 3 plans hash, 4 sequence hash; then of each request its header hash and its bits hash
-- (where evidence is, of a request of several slices).
-- ARGV: 1 ledger id, 16 bytes; then of each request the number of its arguments, its key, 16 bytes, and those arguments.
local WANT, OUTBOX, PLANS, SEQUENCE, LEDGER = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local H, B, REQUEST -- of the request at hand
local band, bor, bnot, lshift, rshift = bit.band, bit.bor, bit.bnot, bit.lshift, bit.rshift
local byte, char, sub, call = string.byte, string.char, string.sub, redis.call
local WANTED_MAX = 100000

local clock
local function now_ms()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

-- Asks the reconciler to project the request.
local function want()
  call('XADD', WANT, 'MAXLEN', '~', WANTED_MAX, '*', 'r', REQUEST)
  return { 'U' }
end

-- A plan: its entries by position + 1, each one letter for the phase, 16 bytes evidence key, 1 byte length, the subsystem.
-- A later entry of the same phase and subsystem replaces an earlier one.
local function parse_plan(id, text)
  local plan, at, seen = { id = id, text = text }, 1, {}
  while at <= #text do
    local last = at + 17 + byte(text, at + 17)
    local phase, name = sub(text, at, at), sub(text, at + 18, last)
    plan[#plan + 1] = { at = #plan, phase = phase, evidence = sub(text, at + 1, at + 16), name = name, who = phase .. name }
    at = last + 1
  end
  for i = #plan, 1, -1 do
    plan[i].live = not seen[plan[i].who]
    seen[plan[i].who] = true
  end
  return plan
end

-- Requests of one plan are many: each plan is read once in a call.
local plans = {}
local function plan_of(id)
  if plans[id] == nil then
    local text = call('HGET', PLANS, id)
    plans[id] = text and parse_plan(id, text)
  end
  return plans[id]
end

-- The plan that the ledger tells, kept for whoever comes.
local function learn_plan(id, text)
  if not plan_of(id) then
    call('HSET', PLANS, id, text)
    plans[id] = parse_plan(id, text)
  end
  if plans[id].text ~= text then error('two plans have one id') end
  return plans[id]
end

-- The header, or nil and why there is none: U unknown, X projected by another ledger. Further fields of the hash, if asked for,
-- are in its list more.
local function read_header(...)
  local f = call('HMGET', H, 'a', 's', 'p', 'n', 'c', 'b', 'g', 'x', ...)
  if not f[1] or not f[2] or not f[3] then return nil, 'U' end
  if sub(f[1], 1, 16) ~= LEDGER then return nil, 'X' end
  local plan = plan_of(f[3])
  if not plan then return nil, 'U' end
  return {
    state = f[2], plan = plan, subjects = tonumber(f[4] or 1), slices = tonumber(f[5] or 1),
    store = f[6] and B or H, inline = not f[6], generation = tonumber(f[7] or 1), announced = tonumber(f[8] or 0),
    final = byte(f[2]) < 97, more = { unpack(f, 9) },
  }
end

-- The name of the record of an entry in a slice. In the header there is one slice only.
local function name_of(h, at, slice)
  if h.inline then return tostring(at) end
  return at .. '.' .. slice
end

-- A record is the evidence of one entry in one slice: 6 bytes time of the oldest mark, 2 bytes number of subjects, then six
-- bitmaps (erased, nothing held, retained, failed, pending, retrying), trailing zero bytes left out.
-- In here it is one list of 32-bit words: those of the first bitmap, those of the second, and so on.
local NEVER = string.rep('\0', 6)

local function new_record(count)
  local words = math.ceil(count / 32)
  local rec = { at = NEVER, count = count, words = words }
  for i = 1, 6 * words do rec[i] = 0 end
  return rec
end

-- The word with the bytes from this position on, as far as they are before the end.
local function word_at(s, at, stop)
  local a, b, c, d = byte(s, at, math.min(at + 3, stop))
  return bor(lshift(a or 0, 24), lshift(b or 0, 16), lshift(c or 0, 8), d or 0)
end

-- The positions of a slice in its word number i.
local function whole_word(count, i)
  local left = count - (i - 1) * 32
  if left >= 32 then return -1 end
  return left > 0 and lshift(-1, 32 - left) or 0
end

local function parse_record(s)
  local high, low = byte(s or '', 7, 8)
  local rec = new_record((high or 0) * 256 + (low or 0))
  if not s then return rec end
  rec.at = #s < 6 and s .. string.rep('\0', 6 - #s) or sub(s, 1, 6)
  local width, words = math.ceil(rec.count / 8), rec.words
  for k = 0, 5 do
    local from = 9 + k * width
    if from > #s then break end
    for i = 1, words do rec[k * words + i] = word_at(s, from + (i - 1) * 4, from + width - 1) end
  end
  return rec
end

-- The bytes of words from this one on.
local function bytes_of(list, from, width)
  local bytes, full = {}, math.ceil(width / 4)
  for i = 1, full do
    local x = list[from + i - 1] or 0
    bytes[i] = char(band(rshift(x, 24), 255), band(rshift(x, 16), 255), band(rshift(x, 8), 255), band(x, 255))
  end
  return sub(table.concat(bytes), 1, width)
end

local function format_record(rec)
  local width, parts = math.ceil(rec.count / 8), { rec.at, char(math.floor(rec.count / 256), rec.count % 256) }
  for k = 0, 5 do parts[k + 3] = bytes_of(rec, k * rec.words + 1, width) end
  local s = table.concat(parts)
  local last = #s
  while last > 0 and byte(s, last) == 0 do last = last - 1 end
  return sub(s, 1, last)
end

-- One of a slice's records, which stand by position + 1 as they are stored. Most are asked for once, or not at all.
local function record(recs, at)
  if type(recs[at]) ~= 'table' then recs[at] = parse_record(recs[at]) end
  return recs[at]
end

-- Word number i of a record, sorted: each task in one class at most, in the order erased, nothing held, retained, failed, pending,
-- retrying.
local function classes(rec, i)
  local words = rec.words
  if i > words then return 0, 0, 0, 0, 0, 0 end
  local r = rec[2 * words + i]
  local e = band(rec[i], bnot(r))
  local n = band(rec[words + i], bnot(bor(r, e)))
  local done = bor(e, n, r)
  local f = band(rec[3 * words + i], bnot(done))
  local p = band(rec[4 * words + i], bnot(bor(done, f)))
  local w = band(rec[5 * words + i], bnot(bor(done, f, p)))
  return e, n, r, f, p, w
end

-- Whether every position of the slice is in one of the first so many bitmaps: 3 for done, 4 for ended. A slice of nobody never is.
local DONE, ENDED = 3, 4
local function covers(rec, maps)
  if rec.count < 1 then return false end
  for i = 1, rec.words do
    local have = 0
    for k = 0, maps - 1 do have = bor(have, rec[k * rec.words + i]) end
    local whole = whole_word(rec.count, i)
    if band(have, whole) ~= whole then return false end
  end
  return true
end

local function ones(x)
  if x == 0 then return 0 end
  if x == -1 then return 32 end
  x = x - band(rshift(x, 1), 0x55555555)
  x = band(x, 0x33333333) + band(rshift(x, 2), 0x33333333)
  x = band(x + rshift(x, 4), 0x0f0f0f0f)
  x = x + rshift(x, 8)
  x = x + rshift(x, 16)
  return band(x, 0x3f)
end

local function count_tasks(rec)
  local sum = { 0, 0, 0, 0, 0, 0 }
  for i = 1, rec.words do
    for k, x in ipairs({ classes(rec, i) }) do sum[k] = sum[k] + ones(x) end
  end
  return sum
end

-- People of one slice by the least finished of their tasks. How they are done (erased, nothing held, retained) is said by
-- the plan's last phase: hiding somebody erases nothing. recs is by position + 1.
local function count_people(plan, recs)
  local sum, words, last, any = { 0, 0, 0, 0, 0, 0 }, 0, 'h', false
  for _, entry in ipairs(plan) do
    if entry.live then
      any = true
      if entry.phase == 'p' then last = 'p' end
      words = math.max(words, record(recs, entry.at + 1).words)
    end
  end
  if not any then return sum end
  for i = 1, words do
    local done, keep, none, failed, pending, retrying = -1, 0, -1, 0, 0, 0
    for _, entry in ipairs(plan) do
      if entry.live then
        local e, n, r, f, p, w = classes(record(recs, entry.at + 1), i)
        done, failed, pending, retrying = band(done, bor(e, n, r)), bor(failed, f), bor(pending, p), bor(retrying, w)
        if entry.phase == last then keep, none = bor(keep, r), band(none, n) end
      end
    end
    local r = band(done, keep)
    local n = band(done, none, bnot(r))
    sum[1] = sum[1] + ones(band(done, bnot(bor(r, n))))
    sum[2] = sum[2] + ones(n)
    sum[3] = sum[3] + ones(r)
    sum[4] = sum[4] + ones(failed)
    sum[5] = sum[5] + ones(band(pending, bnot(failed)))
    sum[6] = sum[6] + ones(band(retrying, bnot(bor(failed, pending))))
  end
  return sum
end

-- The records of every entry in one slice, as they are stored, by position + 1, and the further field that was asked for.
local function read_slice(h, slice, further)
  local names = {}
  for at = 1, #h.plan do names[at] = name_of(h, at - 1, slice) end
  names[#names + 1] = further
  if #names == 0 then return {} end
  local raw = call('HMGET', h.store, unpack(names))
  return raw, raw[#h.plan + 1]
end

-- Six numbers, trailing zeros left out.
local function written(sum)
  local words, last = {}, 0
  for k = 1, 6 do
    if sum[k] > 0 then last = k end
    words[k] = sum[k]
  end
  return table.concat(words, ' ', 1, last)
end

-- Adds the difference of two sums to a counts field of the header. Only requests of several slices have these: of the others the
-- records say it until they come to their end.
local function bump(field, before, after)
  local sum, i = { 0, 0, 0, 0, 0, 0 }, 0
  for word in string.gmatch(call('HGET', H, field) or '', '%d+') do
    i = i + 1
    sum[i] = tonumber(word)
  end
  for k = 1, 6 do sum[k] = math.max(0, sum[k] + after[k] - (before and before[k] or 0)) end
  local text = written(sum)
  if text == '' then call('HDEL', H, field) else call('HSET', H, field, text) end
end

-- Bitmaps of slices, in the store of a request of several slices.
local function has_slice(h, field, slice)
  local map = call('HGET', h.store, field) or ''
  local eight = byte(map, math.floor(slice / 8) + 1) or 0
  return band(eight, rshift(128, slice % 8)) ~= 0
end

local function set_slice(h, field, slice)
  local at = math.floor(slice / 8) + 1
  local map = call('HGET', h.store, field) or ''
  map = map .. string.rep('\0', at - #map)
  local eight = bor(byte(map, at), rshift(128, slice % 8))
  call('HSET', h.store, field, sub(map, 1, at - 1) .. char(eight) .. sub(map, at + 1))
end

-- recs: the records of the only slice, where there is only one.
local function is_full(h, entry, recs)
  if h.inline then return covers(record(recs, entry.at + 1), DONE) end
  local map = call('HGET', h.store, 'F' .. entry.at) or ''
  local whole, rest = math.floor(h.slices / 8), h.slices % 8
  if sub(map, 1, whole) ~= string.rep('\255', whole) then return false end
  if rest == 0 then return true end
  local tail = band(255, lshift(255, 8 - rest))
  return band(byte(map, whole + 1) or 0, tail) == tail
end

-- Takes a slice of several into the people's counts: in the place of what it added before, if it is counted under this plan
-- already. Until then its people count as in progress.
local function count_slice(h, slice, before, after)
  if has_slice(h, 'Y', slice) then
    bump('P', count_people(h.plan, before), count_people(h.plan, after))
  else
    bump('P', nil, count_people(h.plan, after))
    set_slice(h, 'Y', slice)
  end
end

-- Whether every live entry has every slice; if so, the outbox names the request once per plan version.
local function announce(h, recs)
  local any = false
  for _, entry in ipairs(h.plan) do
    if entry.live then
      if not is_full(h, entry, recs) then return 0 end
      any = true
    end
  end
  if not any or h.state ~= 'w' then return 0 end
  if h.announced < #h.plan then
    call('XADD', OUTBOX, '*', 'r', REQUEST)
    call('HSET', H, 'x', #h.plan)
  end
  return 1
end

local function one(A)
