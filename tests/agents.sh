#!/bin/sh
# Real agents as tasks of pleach, against a model of our own on loopback: tests/agents.sh [AGENT...]
#
# Installs what is not there yet, in versions that Node 20 takes, into a cache directory (PLEACH_AGENTS_DIR, by default below
# ~/.cache; not below /tmp, which tasks do not see), and runs `cargo test --test suite -- agents::real hooks::real` with them. Needs node, npm, python3
# and the registries of npm and PyPI for the first run.
set -eu
cd "$(dirname "$0")/.."
dir=${PLEACH_AGENTS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pleach-test-agents}
mkdir -p "$dir"
[ $# -gt 0 ] || set -- claude codex opencode gemini aider

# npm_package NAME PACKAGE@VERSION [SCRIPT]: the script that the package runs after it was installed, which npm here may leave out.
npm_package() {
    [ -x "$dir/node_modules/.bin/$1" ] && return
    npm install --no-fund --no-audit --prefix "$dir" "$2"
    [ -z "${3:-}" ] || (cd "$dir/node_modules/${2%@*}" && node "$3")
}

for agent in "$@"; do
    case $agent in
    claude) npm_package claude @anthropic-ai/claude-code@2.1.197 install.cjs ;;
    codex) npm_package codex @openai/codex@0.169.0 ;;
    opencode) npm_package opencode opencode-ai@1.18.33 postinstall.mjs ;;
    gemini) npm_package gemini @google/gemini-cli@0.61.0 ;;
    aider)
        if [ ! -x "$dir/py/bin/aider" ]; then
            python3 -m venv "$dir/py"
            "$dir/py/bin/pip" install -q aider-chat==0.86.2
        fi
        ;;
    *) echo "tests/agents.sh: there is no $agent here" >&2 && exit 2 ;;
    esac
    program=$dir/node_modules/.bin/$agent
    [ "$agent" != aider ] || program=$dir/py/bin/aider
    "$program" --version
    export "PLEACH_TEST_$(echo "$agent" | tr a-z A-Z)=$program"
done
cargo test --locked --test suite -- agents::real hooks::real
