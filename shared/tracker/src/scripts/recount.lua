-- RECOUNT: takes one slice of several into the people's counts after the plan has changed.
-- A: 1 slice.
local h = read_header()
if not h then return { 'U' } end
if h.final then return { 'F' } end
local slice = tonumber(A[1])
if slice < h.slices and not h.inline and not has_slice(h, 'Y', slice) then
  count_slice(h, slice, nil, read_slice(h, slice))
end
return { 'O' }
