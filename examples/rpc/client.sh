#!/usr/bin/env bash
# A client of `otr rpc` in bash and jq.
#
#     client.sh send SESSION < text       sends stdin as one message
#     client.sh take SESSION [N]          writes the next N messages (1), and acknowledges each after that
set -euo pipefail

coproc OTR { exec otr rpc; }
last=0

# call METHOD PARAMS: writes a call.
call() {
    last=$((last + 1))
    jq -cn --argjson id "$last" --arg method "$1" --argjson params "$2" \
        '{jsonrpc: "2.0", id: $id, method: $method, params: $params}' >&"${OTR[1]}"
}

# next: the next line, which is an answer or a notification; ends this script if it is an error.
next() {
    IFS= read -r line <&"${OTR[0]}" || { echo 'client: otr rpc has ended' >&2; exit 1; }
    if jq -e '.error // .params.error' <<< "$line" > /dev/null; then
        jq -r '.error // .params.error | "client: \(.message); \(.data.hint)"' <<< "$line" >&2
        exit "$(jq '(.error // .params.error).data.code' <<< "$line")"
    fi
}

case "${1-}" in
send)
    # As base64: what a shell reads into a variable loses its NULs and last newlines.
    call send "$(base64 -w 0 | jq -cR --arg session "$2" '{session: $session, base64: .}')"
    next
    ;;
take)
    count=${3-1}
    call subscribe "$(jq -cn --arg session "$2" --argjson count "$count" \
        '{session: $session, count: $count, credit: 1}')"
    while true; do
        next
        case "$(jq -r '.method // ""' <<< "$line")" in
        message)
            jq -j '.params | .text // (.base64 | @base64d)' <<< "$line"
            call ack "$(jq -c '.params | {subscription, message, offset}' <<< "$line")"
            ;;
        ended) break ;;
        esac
    done
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
