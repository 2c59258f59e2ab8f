#!/bin/sh
# Real agents as tasks of pleach, against a model of our own on loopback: tests/agents.sh [AGENT...]
#
# Installs what is not there yet, in versions that Node 20 takes, into a cache directory (PLEACH_AGENTS_DIR, by default below
# ~/.cache; not below /tmp, which tasks do not see), and runs the tests that need them: agents::real, hooks::real, and mcp::real, where agents
# delegate by the configuration that `pleach mcp install` wrote. Needs node, npm, python3, and the registries of npm and PyPI for the
# first run. What cannot be installed, or does not even say its version here, is told and left out; a test that fails fails.
# It ends by itself: PLEACH_AGENTS_PATIENCE are the seconds that all that is installed may take together (600), and
# PLEACH_AGENTS_TESTS those of the tests, without what has to be built for them (900).
set -eu
cd "$(dirname "$0")/.."
dir=${PLEACH_AGENTS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pleach-test-agents}
mkdir -p "$dir"
[ $# -gt 0 ] || set -- claude codex opencode gemini aider qwen pi cline mini-swe-agent claude-acp codex-acp
end=$(($(date +%s) + ${PLEACH_AGENTS_PATIENCE:-600}))

# bounded COMMAND...: within what is left of the time to install.
bounded() {
    left=$((end - $(date +%s)))
    [ "$left" -gt 0 ] && timeout "$left" "$@"
}

# npm_package NAME PACKAGE@VERSION [SCRIPT]: the script that the package runs after it was installed, which npm here may leave out.
npm_package() {
    program=$dir/node_modules/.bin/$1
    [ -x "$program" ] && [ -e "$dir/$1.done" ] && return
    bounded npm install --no-fund --no-audit --loglevel=error --prefix "$dir" "$2" &&
        { [ -z "${3:-}" ] || (cd "$dir/node_modules/${2%@*}" && bounded node "$3"); } &&
        touch "$dir/$1.done"
}

# py_package NAME ENVIRONMENT PACKAGE...: programs of Python do not agree on what they need, so each has an environment of its own.
py_package() {
    program=$dir/$2/bin/$1
    [ -e "$dir/$1.done" ] && return
    environment=$2
    shift 2
    bounded python3 -m venv "$dir/$environment" && bounded "$dir/$environment/bin/pip" install -q "$@" && touch "$dir/${program##*/}.done"
}

install() {
    case $1 in
    claude) npm_package claude @anthropic-ai/claude-code@2.1.197 install.cjs ;;
    codex) npm_package codex @openai/codex@0.169.0 ;;
    opencode) npm_package opencode opencode-ai@1.18.33 postinstall.mjs ;;
    gemini) npm_package gemini @google/gemini-cli@0.61.0 ;;
    qwen) npm_package qwen @qwen-code/qwen-code@0.15.10 ;;
    pi) npm_package pi @mariozechner/pi-coding-agent@0.73.1 ;;
    cline) npm_package cline cline@3.0.65 ;;
    claude-acp) npm_package claude-code-acp @zed-industries/claude-code-acp@0.16.2 ;;
    codex-acp) npm_package codex-acp @zed-industries/codex-acp@0.16.0 ;;
    aider) py_package aider py aider-chat==0.86.2 ;;
    mini-swe-agent) py_package mini mini mini-swe-agent==2.4.6 mcp ;;
    esac
}

left_out=
for agent in "$@"; do
    case $agent in
    claude | codex | opencode | gemini | qwen | pi | cline | claude-acp | codex-acp | aider | mini-swe-agent) ;;
    *) echo "tests/agents.sh: there is no $agent here" >&2 && exit 2 ;;
    esac
    if ! install "$agent"; then
        echo "tests/agents.sh: $agent could not be installed" >&2
        left_out="$left_out $agent"
        continue
    fi
    case $agent in
    # They speak their protocol, and nothing else.
    claude-acp | codex-acp) version="is installed, and says no version" ;;
    *) version=$(timeout 120 "$program" --version </dev/null 2>&1 | grep -m1 '[0-9]') || version= ;;
    esac
    if [ -z "$version" ]; then
        echo "tests/agents.sh: $agent does not run here" >&2
        left_out="$left_out $agent"
        continue
    fi
    echo "$agent $version"
    export "PLEACH_TEST_$(echo "$agent" | tr a-z- A-Z_)=$program"
done
cargo test --locked --test suite --no-run
timeout "${PLEACH_AGENTS_TESTS:-900}" cargo test --locked --test suite -- agents::real mcp::real hooks::real || {
    code=$?
    [ "$code" -ne 124 ] || echo "tests/agents.sh: the tests took longer than ${PLEACH_AGENTS_TESTS:-900} s" >&2
    exit "$code"
}
[ -z "$left_out" ] || echo "tests/agents.sh: left out, as they could not be had here:$left_out"
