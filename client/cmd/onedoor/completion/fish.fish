# Completion of onedoor for fish.
function __onedoor_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    command onedoor __complete -- $words[2..-1] (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command onedoor --arguments '(__onedoor_complete)'
