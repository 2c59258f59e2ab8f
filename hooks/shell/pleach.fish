# pleach for fish: says before the next prompt which tasks have ended in this repository.
# In ~/.config/fish/config.fish:  pleach shell-init fish | source
set -g __pleach_since ''
function __pleach_prompt --on-event fish_prompt
    set -l code $status
    set -g __pleach_since (command pleach prompt "$__pleach_since" | string collect)
    return $code
end
