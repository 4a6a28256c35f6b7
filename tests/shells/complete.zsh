# Types the line $2 and a TAB into an interactive zsh that has _otr from the directory $1, and
# prints what the line then is.
zmodload zsh/zpty
zpty shell 'zsh -f -i'
# What is awaited is never in what was typed: the terminal echoes that.
zpty -w shell "PS1=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D;" \
    'show() { print -r -- "<""<$BUFFER>"">"; BUFFER= }; zle -N show; bindkey "^X" show;' \
    'print "<""<ready>"">"'
zpty -r shell said '*<<ready>>*'
zpty -n -w shell "$2"$'\t\x18'
zpty -r shell said '*<<*>>*'
said=${said##*<<}
print -r -- ${said%%>>*}
zpty -d shell
