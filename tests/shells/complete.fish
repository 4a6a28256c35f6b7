# Asks fish what the line $argv[2] can be completed to, one candidate a line.
source $argv[1]
complete --do-complete $argv[2] | string split --fields 1 \t
true # no candidate is no failure
