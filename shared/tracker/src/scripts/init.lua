-- INIT, PROJECT and EXTEND: creates a request, adopts a longer plan, refreshes what may change. Never lowers anything.
-- ARGV: 3 mode (i init, p project, e extend), 4 state, 5 subjects, 6 slices, 7 generation, 8 flags, 9 number of plan
-- entries, then those, then names and values of the header's other fields. EXTEND uses only the plan.
local mode, state, subjects, slices = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local generation, flags, version = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local first_pair = 10 + version

local function write_plan(from)
  for at = from, version - 1 do redis.call('HSET', H, at, ARGV[10 + at]) end
  redis.call('HSET', H, 'v', version)
end

local function write_fields()
  redis.call('HSET', H, unpack(ARGV, first_pair))
  if flags == '0' then redis.call('HDEL', H, 'f') else redis.call('HSET', H, 'f', flags) end
end

local function write_size()
  redis.call('HSET', H, 's', state, 'n', subjects)
  if slices > 1 then redis.call('HSET', H, 'c', slices) end
end

local h, why = read_header()
if not h and why == 'X' then return { 'X' } end
if not h then
  if mode == 'e' then return want() end
  -- Half a header, of a request that was being forgotten, is not to be trusted.
  redis.call('DEL', H, B)
  if slices > 1 or state ~= 'w' then redis.call('HSET', H, 'b', 1) end
  write_size()
  redis.call('HSET', H, 'g', generation)
  write_plan(0)
  write_fields()
  touch()
  return { 'C' }
end
touch()
if h.final then return { 'F' } end

for at = 0, math.min(version, h.version) - 1 do
  if redis.call('HGET', H, at) ~= ARGV[10 + at] then return { 'Z' } end
end
if mode ~= 'e' then
  local grows = h.state == 'i' and subjects >= h.subjects and slices >= h.slices
  if h.state ~= 'i' and state == 'i' then return { 'L' } end
  if not grows then
    if h.state == 'i' and state == 'i' then return { 'L' } end
    if subjects ~= h.subjects or slices ~= h.slices then return { 'Z' } end
  end
  write_size()
  if mode == 'p' or generation > h.generation then redis.call('HSET', H, 'g', generation) end
  write_fields()
  h.state, h.subjects, h.slices = state, subjects, slices
end
local extended = version > h.version
if extended then
  write_plan(h.version)
  h.version = version
  recount_all(h, read_plan(h))
end
announce(h, read_plan(h))
if extended then return { 'E', h.inline and 0 or h.slices } end
return { version < h.version and 'L' or 'R' }
