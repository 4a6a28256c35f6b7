#!lua
-- Stores a packet under KEYS[1], unless it is there or was (KEYS[2]), and wakes those who wait, with
-- the name of its field, so that they need not ask for that.
-- ARGV: mark, size letter, masked bytes, seconds it is kept, seconds the usual packet is kept,
-- the most packets under an address.
-- Answers for how many seconds it is kept, or -1 where there are too many others.
local lie, gone, mark = KEYS[1], KEYS[2], ARGV[1]
local now = tonumber(redis.call('TIME')[1])
local lying, latest, opened = 0, 0, false

-- What is there already is written again: it may have come over another connection, and to no
-- replica, and WAIT promises to wait for this connection's writes alone (7.0 waits for all).
local function again(key)
    redis.call('EXPIREAT', key, redis.call('EXPIRETIME', key))
end

for _, field in ipairs(redis.call('HKEYS', lie)) do
    local till = tonumber(string.sub(field, 3, 12))
    if till <= now then
        redis.call('HDEL', lie, field)
    elseif string.sub(field, 13, 28) == mark then
        again(lie)
        return till - now - 1
    else
        lying = lying + 1
        latest = math.max(latest, till)
    end
end
for _, field in ipairs(redis.call('HKEYS', gone)) do
    if tonumber(string.sub(field, 3, 12)) > now then
        if string.sub(field, 13, 28) == mark then
            again(gone)
            return tonumber(ARGV[5])
        end
        opened = opened or string.sub(field, 2, 2) == '1'
    end
end
if lying >= tonumber(ARGV[6]) then
    return -1
end
local till = now + tonumber(ARGV[4]) + 1
local field = 'p' .. ARGV[2] .. string.format('%010d', till) .. mark
redis.call('HSET', lie, field, ARGV[3])
redis.call('EXPIREAT', lie, math.max(latest, till))
redis.call('SPUBLISH', string.sub(lie, 1, 6), string.sub(lie, 7) .. 'l' .. (opened and 'c' or 'h') .. field)
return tonumber(ARGV[4])
