-- RECOUNT: takes one slice into the people's counts after the plan has changed.
-- ARGV: 3 slice.
local h = read_header()
if not h then return { 'U' } end
touch()
if h.final then return { 'F' } end
local slice, plan = tonumber(ARGV[3]), read_plan(h)
if slice < h.slices and not h.inline and not has_slice(h, 'Y', slice) then
  count_slice(h, plan, slice, nil, read_slice(h, plan, slice))
end
return { 'O' }
