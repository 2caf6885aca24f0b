-- FINAL: the ledger has come to its end with the request. Counts stay to be read for a while; bits, key and leases go.
-- ARGV: 3 state, 4 finished at, 5 for how long to keep, in milliseconds.
local h, why = read_header()
if not h then return { why } end
touch()
if h.final then return { 'O' } end
redis.call('HSET', H, 's', ARGV[3], 'z', ARGV[4])
redis.call('HDEL', H, 'k', 'K', 'f')
if h.inline then
  for at = 0, h.version - 1 do
    local name = at .. '.0'
    redis.call('HDEL', H, name, 'l' .. name, 'd' .. name)
  end
else
  redis.call('UNLINK', B)
end
redis.call('PEXPIRE', H, ARGV[5])
return { 'O' }
