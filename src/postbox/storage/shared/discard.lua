#!lua flags=allow-oom
-- Discards the packet with a mark under KEYS[1], remembers it, and tells those who wait.
-- ARGV: mark, '1' where a key is published or '0', that key, masked, seconds for which it is
-- remembered, how many are remembered.
-- Answers 1 where it was there. Frees more than it takes, and so works where there is no room.
local key, mark = KEYS[1], ARGV[1]
local now = tonumber(redis.call('TIME')[1])
local found, lying, latest, opened = nil, 0, 0, ARGV[2] == '1'
local spent = {}
for _, field in ipairs(redis.call('HKEYS', key)) do
    local till = tonumber(string.sub(field, 3, 12))
    if till <= now then
        redis.call('HDEL', key, field)
    elseif string.sub(field, 1, 1) ~= 'p' then
        spent[#spent + 1] = field
    elseif string.sub(field, 13, 28) == mark then
        found = field
    else
        lying = lying + 1
        latest = math.max(latest, till)
    end
end
if not found then
    return 0
end
-- The oldest are forgotten first.
while #spent >= tonumber(ARGV[5]) do
    local oldest = 1
    for at = 2, #spent do
        if string.sub(spent[at], 3, 12) < string.sub(spent[oldest], 3, 12) then
            oldest = at
        end
    end
    redis.call('HDEL', key, spent[oldest])
    table.remove(spent, oldest)
end
local till = now + tonumber(ARGV[4]) + 1
local new = 's' .. ARGV[2] .. string.format('%010d', till) .. mark .. ARGV[3]
for _, field in ipairs(spent) do
    opened = opened or string.sub(field, 2, 2) == '1'
end
if lying > 0 then
    redis.call('HDEL', key, found)
    redis.call('HSET', key, new, '')
else
    -- Made anew, it is a compact list again. (Discards are counted by this command: node.rs.)
    redis.call('DEL', key)
    latest = till
    for _, field in ipairs(spent) do
        redis.call('HSET', key, field, '')
        latest = math.max(latest, tonumber(string.sub(field, 3, 12)))
    end
    redis.call('HSET', key, new, '')
end
redis.call('EXPIREAT', key, latest)
local status = (lying > 0 and not opened) and 'h' or 'c'
redis.call('SPUBLISH', string.sub(key, 1, 6), string.sub(key, 7) .. (lying > 0 and 'l' or '-') .. status)
return 1
