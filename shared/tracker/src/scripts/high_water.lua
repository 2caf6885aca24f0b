-- Raises the ledger's high-water sequence and returns it. It never falls.
-- KEYS: 1 meta hash. ARGV: 1 sequence.
local have = tonumber(redis.call('HGET', KEYS[1], 'sequence') or 0)
local given = tonumber(ARGV[1])
if given > have then
  redis.call('HSET', KEYS[1], 'sequence', ARGV[1])
  have = given
end
redis.call('HINCRBY', KEYS[1], 'q', 1)
return have
