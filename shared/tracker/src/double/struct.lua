-- struct.pack and struct.unpack as Redis offers them to scripts, in the formats that ours use: big-endian (>), then signed (i) and
-- unsigned (I) integers with a width in bytes. Written in Lua because crossing into Rust for each of them costs more than they do.
local byte, char, floor = string.byte, string.char, math.floor
local known = {}

local function parse(format)
  local fields, rest = {}, string.match(format, '^>(.*)$')
  if not rest then error('struct: a format that the double does not know') end
  local at = 1
  while at <= #rest do
    local sign, width = string.match(rest, '^([iI])([1-6])', at)
    if not sign then error('struct: a format that the double does not know') end
    fields[#fields + 1] = { signed = sign == 'i', width = tonumber(width) }
    at = at + 2
  end
  known[format] = fields
  return fields
end

local function pack(format, ...)
  local fields, values, bytes, at = known[format] or parse(format), { ... }, {}, 0
  for i, field in ipairs(fields) do
    local n = values[i]
    if type(n) ~= 'number' or n ~= floor(n) then error('struct.pack: a whole number is needed for each field') end
    for k = field.width, 1, -1 do
      bytes[at + k] = n % 256
      n = floor(n / 256)
    end
    at = at + field.width
  end
  return char(unpack(bytes))
end

-- The values, then the position after them.
local function unpack_(format, data)
  local fields, values, at = known[format] or parse(format), {}, 1
  for i, field in ipairs(fields) do
    if at + field.width - 1 > #data then error('data string too short') end
    local n = 0
    for k = at, at + field.width - 1 do n = n * 256 + byte(data, k) end
    if field.signed and byte(data, at) >= 128 then n = n - 256 ^ field.width end
    values[i] = n
    at = at + field.width
  end
  values[#fields + 1] = at
  return unpack(values)
end

return { pack = pack, unpack = unpack_ }
