-- INIT, PROJECT and EXTEND: creates a request, adopts a longer plan, refreshes what may change. Never lowers anything.
-- A: 1 mode (i init, p project, e extend), 2 state, 3 subjects, 4 slices, 5 generation, 6 flags, 7 id of the plan, 8 the plan, then
-- names and values of the header's other fields. EXTEND uses only the plan.
local mode, state, subjects, slices = A[1], A[2], tonumber(A[3]), tonumber(A[4])
local generation, flags, plan = tonumber(A[5]), A[6], learn_plan(A[7], A[8])

-- What is as usual is left out.
local function size_and_fields()
  local set, drop = { 's', state, unpack(A, 9) }, {}
  local function put(name, value, usual)
    local list = value == usual and drop or set
    list[#list + 1] = name
    if value ~= usual then list[#list + 1] = value end
  end
  put('n', subjects, 1)
  put('c', slices, 1)
  put('f', flags, '0')
  return set, drop
end

local h, why = read_header()
if not h and why == 'X' then return { 'X' } end
if not h then
  if mode == 'e' then return want() end
  -- Half a header, of a request that was being forgotten, is not to be trusted.
  call('DEL', H, B)
  local set = size_and_fields()
  if slices > 1 or state ~= 'w' then set[#set + 1] = 'b' set[#set + 1] = 1 end
  if generation ~= 1 then set[#set + 1] = 'g' set[#set + 1] = generation end
  call('HSET', H, 'p', plan.id, unpack(set))
  return { 'C' }
end
if h.final then return { 'F' } end

for at = 1, math.min(#plan, #h.plan) do
  if h.plan[at].who ~= plan[at].who or h.plan[at].evidence ~= plan[at].evidence then return { 'Z' } end
end
if mode ~= 'e' then
  local grows = h.state == 'i' and subjects >= h.subjects and slices >= h.slices
  if h.state ~= 'i' and state == 'i' then return { 'L' } end
  if not grows then
    if h.state == 'i' and state == 'i' then return { 'L' } end
    if subjects ~= h.subjects or slices ~= h.slices then return { 'Z' } end
  end
  local set, drop = size_and_fields()
  if mode == 'p' or generation > h.generation then set[#set + 1] = 'g' set[#set + 1] = generation end
  call('HSET', H, unpack(set))
  if #drop > 0 then call('HDEL', H, unpack(drop)) end
  h.state, h.subjects, h.slices = state, subjects, slices
end
local version = #h.plan
if #plan > version then
  call('HSET', H, 'p', plan.id)
  h.plan = plan
  -- Nobody is counted any more until their slice is looked at again.
  if not h.inline then
    call('HDEL', H, 'P')
    call('HDEL', B, 'Y')
  end
end
announce(h, h.inline and read_slice(h, 0))
if #plan > version then return { 'E', h.inline and 0 or h.slices } end
return { #plan < version and 'L' or 'R' }
