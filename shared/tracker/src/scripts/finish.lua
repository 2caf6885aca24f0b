-- FINAL: the ledger has come to its end with the request. Counts stay to be read for a while; bits, key and leases go.
-- A: 1 state, 2 finished at, 3 for how long to keep, in milliseconds.
local h, why = read_header()
if not h then return { why } end
if h.final then return { 'O' } end
local set, drop = { 's', A[1], 'z', A[2] }, { 'k', 'K', 'f', 'x' }
if h.inline then
  local recs = read_slice(h, 0)
  local counts = { written(count_people(h.plan, recs)) }
  for at = 1, #h.plan do
    local rec = record(recs, at)
    counts[at + 1] = written(count_tasks(rec))
    if rec.count > 0 then drop[#drop + 1] = at - 1 end
    if not covers(rec, ENDED) then
      drop[#drop + 1] = 'l' .. at - 1
      drop[#drop + 1] = 'd' .. at - 1
    end
  end
  set[5], set[6] = 'C', table.concat(counts, ',')
else
  call('UNLINK', B)
end
call('HSET', H, unpack(set))
call('HDEL', H, unpack(drop))
call('PEXPIRE', H, A[3])
return { 'O' }
