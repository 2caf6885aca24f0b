-- Hands out places of an allowance, and takes them back.
-- A place is one call. It may be used again one window after the end of the call that used it, or, when nobody says that it ended,
-- after all the time in which that call could still arrive, and a window. So in no window are there more calls than places.
-- KEYS: 1 places (sorted set: number by the moment from which it may be used), 2 state (hash), both of one hash tag.
-- ARGV: 1 calls, 2 window, 3 hold, 4 horizon, 5 the highest sequence that the caller has seen, 6 places wanted, 7 silence;
-- then three for each place that comes back: its number, its token, and from when it may be used: less than zero, that long before
-- a window from now; else the moment itself. Times are microseconds of this server's clock.
local RING, STATE = KEYS[1], KEYS[2]
local calls, window, hold, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local seen, wanted, silence = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local KEPT_MS = 86400000

local function text(number) return string.format('%.0f', number) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', STATE, 'q', 'w', 'i', 'z')
local sequence, last, quiet = tonumber(known[1] or 0), tonumber(known[3] or 0), tonumber(known[4] or 0)

-- What was lost, or has gone back to an older copy, says nothing of the calls that are under way: begin when all of them are over.
local have = redis.call('ZCARD', RING)
if sequence < seen or tonumber(known[2] or 0) ~= window then
  redis.call('DEL', RING)
  have = 0
end
sequence = math.max(sequence, seen) + 1

-- Numbers are never used twice: a place that is taken away never comes back with its past forgotten. Those that go are the ones
-- that may be used soonest, so that every call of theirs is a window older than the next call of any other.
for _ = have + 1, calls do
  last = last + 1
  redis.call('ZADD', RING, text(now + horizon + hold), text(last))
end
if have > calls then redis.call('ZREMRANGEBYRANK', RING, '0', text(have - calls - 1)) end

for at = 8, #ARGV, 3 do
  local score, from = redis.call('ZSCORE', RING, ARGV[at]), tonumber(ARGV[at + 2])
  -- Another token: its time was over and somebody else has it.
  if score and tonumber(score) == tonumber(ARGV[at + 1]) then
    redis.call('ZADD', RING, text(from > 0 and from or now + from + window), ARGV[at])
  end
end

if silence > 0 then quiet = math.max(quiet, now + silence) end
local again, granted = 0, {}
if wanted > 0 and quiet <= now then
  local places = redis.call('ZRANGE', RING, '0', text(wanted - 1), 'WITHSCORES')
  for at = 1, #places, 2 do
    local from = tonumber(places[at + 1])
    if from > now + horizon then
      again = from - now - horizon
      break
    end
    local start = math.max(from, now)
    redis.call('ZADD', RING, text(start + hold), places[at])
    for _, it in ipairs({ places[at], text(start + hold), text(start), text(start - now) }) do granted[#granted + 1] = it end
  end
end

redis.call('HSET', STATE, 'q', text(sequence), 'w', text(window), 'i', text(last), 'z', text(quiet))
redis.call('PEXPIRE', RING, text(KEPT_MS))
redis.call('PEXPIRE', STATE, text(KEPT_MS))
return { text(sequence), text(math.max(quiet - now, 0)), text(again), unpack(granted) }
