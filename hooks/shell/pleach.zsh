# pleach for zsh: says before the next prompt which tasks have ended in this repository.
# In ~/.zshrc:  eval "$(pleach shell-init zsh)"
typeset -g __pleach_since=
__pleach_prompt() {
    local code=$?
    __pleach_since=$(command pleach prompt "$__pleach_since")
    return $code
}
autoload -Uz add-zsh-hook
add-zsh-hook precmd __pleach_prompt
