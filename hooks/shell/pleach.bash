# pleach for bash: says before the next prompt which tasks have ended in this repository.
# In ~/.bashrc:  eval "$(pleach shell-init bash)"
__pleach_since=
__pleach_prompt() {
    local code=$?
    __pleach_since=$(command pleach prompt "$__pleach_since")
    return $code
}
if [[ "$(declare -p PROMPT_COMMAND 2>/dev/null)" == "declare -a"* ]]; then
    [[ " ${PROMPT_COMMAND[*]} " == *" __pleach_prompt "* ]] || PROMPT_COMMAND=(__pleach_prompt "${PROMPT_COMMAND[@]}")
elif [[ "${PROMPT_COMMAND-}" != *__pleach_prompt* ]]; then
    PROMPT_COMMAND="__pleach_prompt${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
fi
