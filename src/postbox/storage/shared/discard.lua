#!lua flags=allow-oom
-- Discards the packet with a mark under KEYS[1], remembers it under KEYS[2], and tells those who wait.
-- ARGV: mark, '1' where a key is published or '0', that key, masked, seconds for which it is
-- remembered, how many are remembered.
-- Answers 1 where it was there. Frees more than it takes, and so works where there is no room.
local lie, gone, mark = KEYS[1], KEYS[2], ARGV[1]
local now = tonumber(redis.call('TIME')[1])
local found, lying, latest, opened = nil, 0, 0, ARGV[2] == '1'
for _, field in ipairs(redis.call('HKEYS', lie)) do
    local till = tonumber(string.sub(field, 3, 12))
    if till <= now then
        redis.call('HDEL', lie, field)
    elseif string.sub(field, 13, 28) == mark then
        found = field
    else
        lying = lying + 1
        latest = math.max(latest, till)
    end
end
local spent, known = {}, false
local remembered = redis.call('HKEYS', gone)
for _, field in ipairs(remembered) do
    if tonumber(string.sub(field, 3, 12)) > now then
        spent[#spent + 1] = field
        known = known or string.sub(field, 13, 28) == mark
    end
end
if not found then
    if known then
        -- Discarded already, it may be, but on no replica: WAIT on this connection waits for that.
        redis.call('EXPIREAT', gone, redis.call('EXPIRETIME', gone))
    end
    return 0
end
-- Discards are counted by DEL (node.rs): each has one. Mostly the packet is the only one ever.
if lying == 0 and #remembered == 0 then
    redis.call('DEL', lie)
else
    -- What is remembered is made anew, without what is forgotten.
    redis.call('DEL', gone)
    -- The last packet's field takes the key with it.
    redis.call('HDEL', lie, found)
    if lying > 0 then
        redis.call('EXPIREAT', lie, latest)
    end
end
-- The oldest are forgotten first.
while #spent >= tonumber(ARGV[5]) do
    local oldest = 1
    for at = 2, #spent do
        if string.sub(spent[at], 3, 12) < string.sub(spent[oldest], 3, 12) then
            oldest = at
        end
    end
    table.remove(spent, oldest)
end
local till = now + tonumber(ARGV[4]) + 1
spent[#spent + 1] = 's' .. ARGV[2] .. string.format('%010d', till) .. mark .. ARGV[3]
latest = 0
for _, field in ipairs(spent) do
    redis.call('HSET', gone, field, '')
    latest = math.max(latest, tonumber(string.sub(field, 3, 12)))
    opened = opened or string.sub(field, 2, 2) == '1'
end
-- It has a key and a time of its own: neither does a packet that lies beside it for a shorter time
-- end it, nor does it keep a packet's memory.
redis.call('EXPIREAT', gone, latest)
local status = (lying > 0 and not opened) and 'h' or 'c'
redis.call('SPUBLISH', string.sub(lie, 1, 6), string.sub(lie, 7) .. (lying > 0 and 'l' or '-') .. status)
return 1
