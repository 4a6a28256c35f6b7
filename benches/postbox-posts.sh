#!/bin/sh
# Posts of 4 KiB packets over kept-alive connections: otr postbox beside nginx, which answers an
# empty 204 to the same bodies, in the same run. Prints raw figures.
# Needs the Debian packages nginx-light, wrk, curl. Usage: benches/postbox-posts.sh [SECONDS]
set -eu
seconds=${1:-5}
otr=${OTR:-otr}
work=$(mktemp -d)
cleanup() {
    [ -z "${postbox-}" ] || kill "$postbox" 2>/dev/null || :
    [ ! -f "$work/nginx.pid" ] || kill "$(cat "$work/nginx.pid")" 2>/dev/null || :
    while [ -f "$work/nginx.pid" ]; do sleep 0.1; done
    rm -rf "$work"
}
trap cleanup EXIT

# Every packet under an address of its own; the rest of it is the same, which nobody can tell.
cat > "$work/post.lua" <<'LUA'
local rest = string.rep("\165", 4096 - 32)
local thread_number = 0
function setup(thread) thread:set("id", thread_number); thread_number = thread_number + 1 end
function init() count = 0 end
function request()
    count = count + 1
    local address = string.format("%08x%08x%016x", id, count, (count * 2654435761) % 4294967296)
    return wrk.format("POST", "/v1/post",
        { ["Content-Type"] = "application/octet-stream" }, "\245" .. address .. rest)
end
function done(summary)
    io.write(string.format("  answers other than 2xx: %d\n", summary.errors.status))
end
LUA

cat > "$work/nginx.conf" <<NGINX
worker_processes auto;
pid $work/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/body;
    client_body_buffer_size 16k;
    keepalive_requests 1000000000;
    server { listen 127.0.0.1:7399; location / { return 204; } }
}
NGINX
nginx -c "$work/nginx.conf" -p "$work"

"$otr" postbox --listen 127.0.0.1:7398 --memory 8G 2> "$work/said" &
postbox=$!
while ! grep -q OTR_POSTBOX "$work/said"; do sleep 0.1; done

for round in 1 2 3; do
    for which in nginx:7399 otr:7398; do
        echo "round $round, ${which%:*}:"
        wrk -t1 -c32 -d"${seconds}s" -s "$work/post.lua" "http://127.0.0.1:${which#*:}" |
            grep -E 'Requests/sec|Latency|other than' 
    done
    # Begin with an empty one again.
    kill "$postbox"; wait "$postbox" || :
    "$otr" postbox --listen 127.0.0.1:7398 --memory 8G 2> "$work/said" &
    postbox=$!
    while ! grep -q OTR_POSTBOX "$work/said"; do sleep 0.1; done
done
