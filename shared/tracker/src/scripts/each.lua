end

-- An effect in every call: one that changes nothing is not propagated, and WAITAOF would not wait for it.
call('HINCRBY', SEQUENCE, 'q', 1)
local answers, at, keys = {}, 2, 5
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  H, B, REQUEST = KEYS[keys], KEYS[keys + 1], ARGV[at + 1]
  -- What goes wrong with one request is the answer to that one.
  local fine, answer = pcall(one, { unpack(ARGV, at + 2, at + 1 + count) })
  if not fine then answer = { '!', type(answer) == 'table' and answer.err or tostring(answer) } end
  answers[#answers + 1] = answer
  at, keys = at + 2 + count, keys + 2
end
return answers
