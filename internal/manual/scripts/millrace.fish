# Completion of millrace for fish. Install it as millrace.fish in a folder of
# $fish_complete_path, or: millrace completion fish | source
function __millrace_complete
    set -l words (commandline -opc)
    set -l part (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$part" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$part"
        else
            echo $line
        end
    end
end
complete -c millrace -f -a "(__millrace_complete)"
