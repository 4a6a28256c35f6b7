_otr() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    if [[ "${prev}" == "=" && COMP_CWORD -gt 1 ]]; then
        prev="${COMP_WORDS[COMP_CWORD - 2]}"
    fi
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="otr"
                ;;
            otr,chat)
                cmd="otr__subcmd__chat"
                ;;
            otr,close)
                cmd="otr__subcmd__close"
                ;;
            otr,completions)
                cmd="otr__subcmd__completions"
                ;;
            otr,demo)
                cmd="otr__subcmd__demo"
                ;;
            otr,expect)
                cmd="otr__subcmd__expect"
                ;;
            otr,export)
                cmd="otr__subcmd__export"
                ;;
            otr,forge)
                cmd="otr__subcmd__forge"
                ;;
            otr,get)
                cmd="otr__subcmd__get"
                ;;
            otr,help)
                cmd="otr__subcmd__help"
                ;;
            otr,import)
                cmd="otr__subcmd__import"
                ;;
            otr,init)
                cmd="otr__subcmd__init"
                ;;
            otr,inspect)
                cmd="otr__subcmd__inspect"
                ;;
            otr,man)
                cmd="otr__subcmd__man"
                ;;
            otr,pipe)
                cmd="otr__subcmd__pipe"
                ;;
            otr,postbox)
                cmd="otr__subcmd__postbox"
                ;;
            otr,put)
                cmd="otr__subcmd__put"
                ;;
            otr,recv)
                cmd="otr__subcmd__recv"
                ;;
            otr,respond)
                cmd="otr__subcmd__respond"
                ;;
            otr,rpc)
                cmd="otr__subcmd__rpc"
                ;;
            otr,send)
                cmd="otr__subcmd__send"
                ;;
            otr,simulate)
                cmd="otr__subcmd__simulate"
                ;;
            otr,status)
                cmd="otr__subcmd__status"
                ;;
            otr,verify)
                cmd="otr__subcmd__verify"
                ;;
            otr,words)
                cmd="otr__subcmd__words"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        otr)
            opts="-s -q -v -h -V --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help --version put get chat init respond send recv pipe close words verify rpc postbox expect export import inspect forge simulate status completions man demo help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__chat)
            opts="-s -q -v -h --postbox --inline --hold --cover --tor --proxy --ca-file --plain-http --state-fd --json --session --dir --allow-disk --lock-wait --quiet --verbose --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --hold)
                    COMPREPLY=()
                    return 0
                    ;;
                --cover)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__close)
            opts="-s -q -v -h --silent --all --stdout --now --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__completions)
            opts="-s -v -q -h --session --dir --state-fd --allow-disk --lock-wait --verbose --quiet --json --help bash zsh fish"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__demo)
            opts="-s -v -q -h --session --state-fd --lock-wait --verbose --dir --allow-disk --quiet --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__expect)
            opts="-s -q -v -h --spent --count --raw --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --count)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__export)
            opts="-s -q -v -h --forget --undo --passphrase-file --passphrase-fd --ask-passphrase --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --passphrase-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --passphrase-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__forge)
            opts="-s -v -q -h --was --was-file --says --says-file --at --packet --keys --postbox --first-turn --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --verbose --quiet --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --was)
                    COMPREPLY=()
                    return 0
                    ;;
                --was-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --says)
                    COMPREPLY=()
                    return 0
                    ;;
                --says-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --at)
                    COMPREPLY=()
                    return 0
                    ;;
                --packet)
                    COMPREPLY=()
                    return 0
                    ;;
                --keys)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --first-turn)
                    COMPREPLY=($(compgen -W "guess yes no" -- "${cur}"))
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__get)
            opts="-y -o -s -q -v -h --yes --output --to-stdout --postbox --tor --proxy --ca-file --plain-http --session --state-fd --dir --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --output)
                    COMPREPLY=()
                    return 0
                    ;;
                -o)
                    COMPREPLY=()
                    return 0
                    ;;
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__help)
            opts="-s -q -v -h --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help put get chat init respond send recv pipe close words verify rpc postbox expect export import inspect forge simulate status completions man demo"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__import)
            opts="-s -q -v -h --passphrase-file --passphrase-fd --ask-passphrase --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --passphrase-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --passphrase-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__init)
            opts="-s -q -v -h --expires --postbox --post-secret --code --again --secret-file --secret-fd --ask-secret --tor --proxy --ca-file --plain-http --anew --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --expires)
                    COMPREPLY=()
                    return 0
                    ;;
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --post-secret)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --secret-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --secret-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__inspect)
            opts="-s -v -q -h --keys --postbox --tor --proxy --ca-file --plain-http --session --dir --state-fd --allow-disk --lock-wait --verbose --quiet --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --keys)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__man)
            opts="-s -v -q -h --session --dir --state-fd --allow-disk --lock-wait --verbose --quiet --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__pipe)
            opts="-k -s -q -v -h --listen --connect --exec --keep-open --via --stdio --wait --secret-file --secret-fd --ask-secret --tor --proxy --ca-file --plain-http --state-fd --session --dir --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --listen)
                    COMPREPLY=()
                    return 0
                    ;;
                --connect)
                    COMPREPLY=()
                    return 0
                    ;;
                --exec)
                    COMPREPLY=()
                    return 0
                    ;;
                --via)
                    COMPREPLY=()
                    return 0
                    ;;
                --wait)
                    COMPREPLY=()
                    return 0
                    ;;
                --secret-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --secret-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__postbox)
            opts="-s -v -q -h --listen --ttl --memory --max-packet --work --post-secret --tls-cert --tls-key --admin --store --store-secret --store-password-file --store-ca --replicas --allow-persistence --require-confinement --with-parent --show-confinement --session --dir --state-fd --allow-disk --lock-wait --verbose --quiet --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --listen)
                    COMPREPLY=()
                    return 0
                    ;;
                --ttl)
                    COMPREPLY=()
                    return 0
                    ;;
                --memory)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-packet)
                    COMPREPLY=()
                    return 0
                    ;;
                --work)
                    COMPREPLY=()
                    return 0
                    ;;
                --post-secret)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --tls-cert)
                    COMPREPLY=()
                    return 0
                    ;;
                --tls-key)
                    COMPREPLY=()
                    return 0
                    ;;
                --admin)
                    COMPREPLY=()
                    return 0
                    ;;
                --store)
                    COMPREPLY=()
                    return 0
                    ;;
                --store-secret)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --store-password-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --store-ca)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --replicas)
                    COMPREPLY=()
                    return 0
                    ;;
                --with-parent)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__put)
            opts="-s -q -v -h --text --qr --postbox --post-secret --serve --resume --tor --proxy --ca-file --plain-http --session --state-fd --dir --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --text)
                    COMPREPLY=()
                    return 0
                    ;;
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --post-secret)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --serve)
                    COMPREPLY=()
                    return 0
                    ;;
                --resume)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__recv)
            opts="-o -s -q -v -h --output --force --exec --null --reveal --strict --stdin --wait --all --follow --cover --count --tor --proxy --ca-file --plain-http --look-ahead --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --output)
                    COMPREPLY=()
                    return 0
                    ;;
                -o)
                    COMPREPLY=()
                    return 0
                    ;;
                --exec)
                    COMPREPLY=()
                    return 0
                    ;;
                --reveal)
                    COMPREPLY=()
                    return 0
                    ;;
                --wait)
                    COMPREPLY=()
                    return 0
                    ;;
                --cover)
                    COMPREPLY=()
                    return 0
                    ;;
                --count)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --look-ahead)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__respond)
            opts="-s -q -v -h --again --anew --postbox --yes --stdout --code --secret-file --secret-fd --ask-secret --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --postbox)
                    COMPREPLY=()
                    return 0
                    ;;
                --code)
                    COMPREPLY=()
                    return 0
                    ;;
                --secret-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --secret-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__rpc)
            opts="-s -q -v -h --socket --tor --proxy --ca-file --plain-http --state-fd --session --dir --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --socket)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__send)
            opts="-s -q -v -h --lines --exec --last --size --no-keys --stdout --confirm --wait --retry --hold --later --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --exec)
                    COMPREPLY=()
                    return 0
                    ;;
                --size)
                    COMPREPLY=()
                    return 0
                    ;;
                --wait)
                    COMPREPLY=()
                    return 0
                    ;;
                --retry)
                    COMPREPLY=()
                    return 0
                    ;;
                --hold)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__simulate)
            opts="-s -q -v -h --seed --size --wrap --raw --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --seed)
                    COMPREPLY=()
                    return 0
                    ;;
                --size)
                    COMPREPLY=()
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__status)
            opts="-s -q -v -h --ask --tor --proxy --ca-file --plain-http --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__verify)
            opts="-s -q -v -h --question --secret-file --secret-fd --stdout --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --question)
                    COMPREPLY=()
                    return 0
                    ;;
                --secret-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --secret-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        otr__subcmd__words)
            opts="-s -q -v -h --same --differ --stdout --now --tor --proxy --ca-file --plain-http --raw --wrap --session --dir --state-fd --allow-disk --lock-wait --quiet --verbose --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --proxy)
                    COMPREPLY=()
                    return 0
                    ;;
                --ca-file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=()
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --wrap)
                    COMPREPLY=()
                    return 0
                    ;;
                --session)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "${cur}"))
                    return 0
                    ;;
                --dir)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs -o filenames
                    fi
                    return 0
                    ;;
                --state-fd)
                    COMPREPLY=()
                    return 0
                    ;;
                --lock-wait)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _otr -o nosort -o bashdefault -o default otr
else
    complete -F _otr -o bashdefault -o default otr
fi
