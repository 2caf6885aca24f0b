-- Shared by every script: it is put in front of each of them.
-- KEYS: 1 header hash, 2 bits hash (requests of several slices), 3 want stream, 4 outbox stream.
-- ARGV: 1 ledger id, 2 request key, both 16 bytes. What follows belongs to the script.
local H, B, WANT, OUTBOX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local band, bor, bnot, lshift, rshift = bit.band, bit.bor, bit.bnot, bit.lshift, bit.rshift
local WANTED_MAX = 100000

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- An effect in every script: one that changes nothing is not propagated, and WAITAOF would not wait for it.
local function touch() redis.call('HINCRBY', H, 'q', 1) end

-- Asks the reconciler to project the request.
local function want()
  redis.call('XADD', WANT, 'MAXLEN', '~', WANTED_MAX, '*', 'r', ARGV[2])
  return { 'U' }
end

-- The header, or nil and why there is none: U unknown, X projected by another ledger.
local function read_header()
  local f = redis.call('HMGET', H, 'a', 's', 'v', 'n', 'c', 'b', 'g', 'x')
  if not f[1] or not f[2] or not f[3] then return nil, 'U' end
  if string.sub(f[1], 1, 16) ~= ARGV[1] then return nil, 'X' end
  return {
    state = f[2], version = tonumber(f[3]), subjects = tonumber(f[4] or 0), slices = tonumber(f[5] or 1),
    store = f[6] and B or H, inline = not f[6], generation = tonumber(f[7] or 1), announced = tonumber(f[8] or 0),
    final = string.find(f[2], '^%u') ~= nil,
  }
end

-- The plan's entries by position + 1. A later entry of the same phase and subsystem replaces an earlier one.
local function read_plan(h)
  local plan, names, seen = {}, {}, {}
  if h.version < 1 then return plan end
  for at = 0, h.version - 1 do names[at + 1] = at end
  local raw = redis.call('HMGET', H, unpack(names))
  for at = h.version - 1, 0, -1 do
    local s = raw[at + 1] or ''
    local who = string.sub(s, 1, 1) .. string.sub(s, 18)
    plan[at + 1] = { at = at, phase = string.sub(s, 1, 1), evidence = string.sub(s, 2, 17), who = who, live = not seen[who] }
    seen[who] = true
  end
  return plan
end

-- A record is the evidence of one entry in one slice: 6 bytes time of the oldest mark, 2 bytes number of subjects, then six
-- bitmaps (erased, nothing held, retained, failed, pending, retrying), trailing zero bytes left out.
-- In here a bitmap is a list of 32-bit words.
local function words_of(map, words)
  if words == 0 then return {} end
  map = string.sub(map .. string.rep('\0', words * 4 - #map), 1, words * 4)
  local list = { struct.unpack('>' .. string.rep('i4', words), map) }
  list[words + 1] = nil -- unpack's last value is a position
  return list
end

local function bytes_of(list, width)
  local words = math.ceil(width / 4)
  local full = {}
  for i = 1, words do full[i] = list[i] or 0 end
  if words == 0 then return '' end
  return string.sub(struct.pack('>' .. string.rep('i4', words), unpack(full)), 1, width)
end

local function new_record() return { at = 0, count = 0, {}, {}, {}, {}, {}, {} } end

local function parse_record(s)
  if not s then return new_record() end
  local head = s .. string.rep('\0', 8 - #s)
  local at, count = struct.unpack('>I6I2', head)
  local width, rec = math.ceil(count / 8), { at = at, count = count }
  for k = 1, 6 do rec[k] = words_of(string.sub(s, 9 + (k - 1) * width, 8 + k * width), math.ceil(width / 4)) end
  return rec
end

local function format_record(rec)
  local width = math.ceil(rec.count / 8)
  local s = struct.pack('>I6I2', rec.at, rec.count)
  for k = 1, 6 do s = s .. bytes_of(rec[k], width) end
  local last = #s
  while last > 0 and string.byte(s, last) == 0 do last = last - 1 end
  return string.sub(s, 1, last)
end

-- The words of a mask without the positions from count on.
local function cut(mask, count)
  local list = words_of(mask, 16)
  for i = 1, 16 do
    local left = count - (i - 1) * 32
    if left <= 0 then list[i] = 0 elseif left < 32 then list[i] = band(list[i], lshift(-1, 32 - left)) end
  end
  return list
end

-- Whether the union of some bitmaps of a record has every position of its slice. A slice of nobody is never full.
local function covers(rec, maps)
  if rec.count < 1 then return false end
  local whole = cut(string.rep('\255', 64), rec.count)
  for i = 1, math.ceil(rec.count / 32) do
    local have = 0
    for _, k in ipairs(maps) do have = bor(have, rec[k][i] or 0) end
    if band(have, whole[i]) ~= whole[i] then return false end
  end
  return true
end
local DONE, ENDED = { 1, 2, 3 }, { 1, 2, 3, 4 }

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

-- Each task in one class at most, in the order erased, nothing held, retained, failed, pending, retrying.
local function classes(rec, i)
  local r = rec[3][i] or 0
  local e = band(rec[1][i] or 0, bnot(r))
  local n = band(rec[2][i] or 0, bnot(bor(r, e)))
  local done = bor(e, n, r)
  local f = band(rec[4][i] or 0, bnot(done))
  local p = band(rec[5][i] or 0, bnot(bor(done, f)))
  local w = band(rec[6][i] or 0, bnot(bor(done, f, p)))
  return e, n, r, f, p, w
end

local function count_tasks(rec)
  local sum = { 0, 0, 0, 0, 0, 0 }
  for i = 1, math.ceil(rec.count / 32) do
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
      local rec = recs[entry.at + 1]
      if rec then words = math.max(words, math.ceil(rec.count / 32)) end
    end
  end
  if not any then return sum end
  for i = 1, words do
    local done, keep, none, failed, pending, retrying = -1, 0, -1, 0, 0, 0
    for _, entry in ipairs(plan) do
      if entry.live then
        local e, n, r, f, p, w = classes(recs[entry.at + 1] or new_record(), i)
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

-- The records of every live entry in one slice, by position + 1.
local function read_slice(h, plan, slice)
  local names, ats, recs = {}, {}, {}
  for _, entry in ipairs(plan) do
    if entry.live then
      names[#names + 1] = entry.at .. '.' .. slice
      ats[#ats + 1] = entry.at
    end
  end
  if #names == 0 then return recs end
  local raw = redis.call('HMGET', h.store, unpack(names))
  for i, at in ipairs(ats) do recs[at + 1] = parse_record(raw[i]) end
  return recs
end

-- Adds the difference of two sums to a counts field of the header: six numbers, trailing zeros left out.
local function bump(field, before, after)
  local sum, i, last = { 0, 0, 0, 0, 0, 0 }, 0, 0
  for word in string.gmatch(redis.call('HGET', H, field) or '', '%d+') do
    i = i + 1
    sum[i] = tonumber(word)
  end
  for k = 1, 6 do
    sum[k] = math.max(0, sum[k] + after[k] - (before and before[k] or 0))
    if sum[k] > 0 then last = k end
  end
  if last == 0 then redis.call('HDEL', H, field) else
    for k = 1, last do sum[k] = string.format('%.0f', sum[k]) end
    redis.call('HSET', H, field, table.concat(sum, ' ', 1, last))
  end
end

-- Bitmaps of slices, in the store of a request of several slices.
local function has_slice(h, field, slice)
  local map = redis.call('HGET', h.store, field) or ''
  local byte = string.byte(map, math.floor(slice / 8) + 1) or 0
  return band(byte, rshift(128, slice % 8)) ~= 0
end

local function set_slice(h, field, slice)
  local at = math.floor(slice / 8) + 1
  local map = redis.call('HGET', h.store, field) or ''
  map = map .. string.rep('\0', at - #map)
  local byte = bor(string.byte(map, at), rshift(128, slice % 8))
  redis.call('HSET', h.store, field, string.sub(map, 1, at - 1) .. string.char(byte) .. string.sub(map, at + 1))
end

local function is_full(h, entry)
  if h.inline then return covers(parse_record(redis.call('HGET', H, entry.at .. '.0')), DONE) end
  local map = redis.call('HGET', h.store, 'F' .. entry.at) or ''
  local whole, rest = math.floor(h.slices / 8), h.slices % 8
  if string.sub(map, 1, whole) ~= string.rep('\255', whole) then return false end
  if rest == 0 then return true end
  local tail = band(255, lshift(255, 8 - rest))
  return band(string.byte(map, whole + 1) or 0, tail) == tail
end

-- Takes a slice into the people's counts: in the place of what it added before, if it is counted under this plan already.
-- Until then its people count as in progress.
local function count_slice(h, plan, slice, before, after)
  if h.inline then
    bump('P', count_people(plan, before), count_people(plan, after))
  elseif has_slice(h, 'Y', slice) then
    bump('P', count_people(plan, before), count_people(plan, after))
  else
    bump('P', nil, count_people(plan, after))
    set_slice(h, 'Y', slice)
  end
end

-- The plan has changed: nobody is counted any more until their slice is looked at again.
local function recount_all(h, plan)
  redis.call('HDEL', H, 'P')
  if h.inline then
    bump('P', nil, count_people(plan, read_slice(h, plan, 0)))
  else
    redis.call('HDEL', h.store, 'Y')
  end
end

-- Whether every live entry has every slice; if so, the outbox names the request once per plan version.
local function announce(h, plan)
  local any = false
  for _, entry in ipairs(plan) do
    if entry.live then
      if not is_full(h, entry) then return 0 end
      any = true
    end
  end
  if not any or h.state ~= 'w' then return 0 end
  if h.announced < h.version then
    redis.call('XADD', OUTBOX, '*', 'r', ARGV[2])
    redis.call('HSET', H, 'x', h.version)
  end
  return 1
end
