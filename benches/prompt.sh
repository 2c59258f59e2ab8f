#!/bin/sh
# What the shell integration costs before each prompt, in bash, zsh and fish, in a repository with many tasks behind it.
#
#   benches/prompt.sh [PROGRAM] [TASKS] [PROMPTS]     default: target/release/pleach, 1,000 and 200
#
# Prints, for each shell that is there, the milliseconds of one prompt, by the clock and by the processor.
set -eu
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/release/pleach}")
tasks=${2:-1000} prompts=${3:-200}
scratch=$(mktemp -d)
export HOME="$scratch/home" PLEACH_STATE_DIR="$scratch/state" PLEACH_IDLE_SECONDS=1
mkdir -p "$HOME" "$scratch/bin" "$scratch/repository"
ln -s "$program" "$scratch/bin/pleach"
export PATH="$scratch/bin:$PATH"
cd "$scratch/repository"
trap 'cd /; pleach -C "$scratch/repository" cancel --plan many --now >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT
git init -q
git config user.name bench
git config user.email bench@example.org
git commit -q --allow-empty -m one
# Tasks that have come and gone: all of them are in the journal.
pleach pause >/dev/null
{
    echo '[[task]]'
    echo 'name = "many"'
    echo "for_each = [$(seq -s, "$tasks" | sed 's/[0-9]*/"&"/g')]"
    echo 'command = "true"'
} >"$scratch/many.toml"
pleach run --detach "$scratch/many.toml" >/dev/null 2>&1
pleach cancel --plan many >/dev/null

# Milliseconds of this many prompts, by the clock and by the processor, as `times` and the clock have them.
measure() {
    command -v "$1" >/dev/null || { echo "$1: not here"; return; }
    begun=$(date +%s%N)
    spent=$("$@" | awk -v prompts="$prompts" '
        # `0m1.234s 0m0.567s` of the shell and of its children.
        { for (i = 1; i <= NF; i++) if (split($i, part, /[ms]/) >= 2) all += part[1] * 60 + part[2] }
        END { printf "%.1f", all * 1000 / prompts }')
    ended=$(date +%s%N)
    echo "$1: $(((ended - begun) / 1000 / prompts)) us by the clock, $spent ms of processor for each prompt"
}

# The first prompt replays the journal once; it is in the sum.
each="i=0; while [ \$i -lt $prompts ]; do __pleach_prompt >/dev/null; i=\$((i + 1)); done; times"
measure bash --norc -c "eval \"\$(pleach shell-init bash)\"; $each"
measure zsh -f -c "eval \"\$(pleach shell-init zsh)\"; $each"
measure fish --no-config -c "pleach shell-init fish | source; for i in (seq $prompts); __pleach_prompt; end; cat /proc/\$fish_pid/stat | string split ' ' | sed -n '14,17p' | awk '{ s += \$1 } END { print \"0m\" s / 100 \"s\" }'"
