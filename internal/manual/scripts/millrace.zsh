#compdef millrace
# Completion of millrace for zsh. Install it as _millrace in a folder of $fpath, or:
# source <(millrace completion zsh)
_millrace() {
    local line files
    local -a choices
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            files=1
        else
            choices+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done < <("${words[1]/#\~/$HOME}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#choices )) && _describe -V millrace choices
    [[ -n $files ]] && _files
}
if [[ $funcstack[1] == _millrace ]]; then
    _millrace "$@"
elif (( $+functions[compdef] )); then
    compdef _millrace millrace
fi
