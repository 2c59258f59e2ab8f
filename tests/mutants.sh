#!/bin/sh
# Is the simulation of the core awake? Each patch in tests/mutants plants one fault in src/core, and the
# simulation must fail on it. One line a fault; exit 1 if one survives or no longer applies.
#
#   tests/mutants.sh              all of them
#   tests/mutants.sh undone held  those whose names hold one of these words
#
# The core and the simulation are copied into a small package of their own, so that a fault costs the build of
# these two and not of the whole program. Each processor has such a package (PLEACH_LANES says how many there are).
# Needs no network: the dependencies and their versions are the project's.
set -eu
cd "$(dirname "$0")/.."
project=$PWD
all=${CARGO_TARGET_DIR:-$project/target}/mutants
lanes=${PLEACH_LANES:-$(nproc 2>/dev/null || echo 1)}
export CARGO_NET_OFFLINE=true RUST_BACKTRACE=0
unset PLEACH_SIMULATE GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

# Work in the package of this number from here on.
take_lane() {
    lane=$1
    work=$all/$lane
    export CARGO_TARGET_DIR="$work/target"
    mkdir -p "$work/package"
}

# Everything as it is in the project, without a fault.
fresh() {
    rm -rf "$work/package/src"
    mkdir -p "$work/package/src" "$work/package/tests/suite"
    cp -R "$project/src/core" "$work/package/src/core"
    echo 'pub mod core;' >"$work/package/src/lib.rs"
    # In tests/suite this is a module; here it is a test of its own.
    rm -rf "$work/package/tests/suite"
    mkdir -p "$work/package/tests/suite"
    cp -R "$project/tests/suite/simulation" "$work/package/tests/suite/simulation"
    echo 'mod simulation;' >"$work/package/tests/suite/main.rs"
}

manifest() {
    {
        printf '[workspace]\n[package]\nname = "pleach"\nversion = "0.1.0"\nedition = "2024"\n'
        printf '[[test]]\nname = "suite"\npath = "tests/suite/main.rs"\n[dependencies]\n'
        grep -E '^(serde|serde_json|jiff|thiserror|toml|similar|regex-automata|serde-saphyr|syntect|two-face) = ' "$project/Cargo.toml"
        printf '[dev-dependencies]\n'
        grep -E '^expect-test = ' "$project/Cargo.toml"
        printf '[profile.dev]\ndebug = false\n[profile.dev.package."*"]\nopt-level = 1\n'
    } >"$work/package/Cargo.toml"
    cp "$project/Cargo.lock" "$work/package/Cargo.lock"
}

build() {
    cargo test --quiet --manifest-path "$work/package/Cargo.toml" --test suite --no-run >"$work/build" 2>&1
}

# Not the faults of the world: these are tested by the suite, and know nothing of a fault here.
holds() {
    timeout "${patience:-300}" cargo test --quiet --manifest-path "$work/package/Cargo.toml" --test suite -- \
        simulation::holds simulation::starving simulation::queue simulation::held >"$work/run" 2>&1
}

# A fault that needs a rare course of events may want more seeds than the test of every day has.
holds_longer() (
    patience=300
    PLEACH_SIMULATE=3000..40000 holds
)

wanted() {
    [ $# -gt 1 ] || return 0
    name=$1
    shift
    for word; do
        case $name in *"$word"*) return 0 ;; esac
    done
    return 1
}

# Plant each fault of this lane in turn; a line in "verdicts" for each that is caught.
plant() {
    number=0
    : >"$work/verdicts"
    for patch in "$project"/tests/mutants/*.patch; do
        name=$(basename "$patch" .patch)
        wanted "$name" "$@" || continue
        number=$((number + 1))
        [ $((number % lanes)) -eq "$lane" ] || continue
        fresh
        if ! (cd "$work/package" && GIT_CEILING_DIRECTORIES="$work" git apply -p0 "$patch") >"$work/apply" 2>&1; then
            echo "STALE     $name: the patch no longer applies" && cat "$work/apply"
        elif ! build; then
            echo "STALE     $name: it does not compile" && cat "$work/build"
        elif holds && holds_longer; then
            echo "SURVIVED  $name: $(head -n 1 "$patch")"
        else
            why=$(grep -oE '^seed [0-9]+: .*' "$work/run" | head -n 1 | cut -c 1-110)
            echo "caught    $name (${why:-it does not come to an end})"
            echo caught >>"$work/verdicts"
        fi
    done
}

take_lane 0
fresh
manifest
build || { cat "$work/build" && exit 2; }
begun=$(date +%s)
holds || { cat "$work/run" && echo 'it fails without a fault' && exit 2; }
took=$(($(date +%s) - begun))
echo "holds     without a fault ($took s)"
# One with a fault that makes it go on for ever has to be ended.
patience=$((took * 6 + 20))

for lane in $(seq 1 $((lanes - 1))); do
    rm -rf "${all:?}/$lane"
    cp -a "$all/0" "$all/$lane"
done
for lane in $(seq 0 $((lanes - 1))); do
    (take_lane "$lane" && plant "$@") &
done
wait

planned=0
for patch in tests/mutants/*.patch; do
    if wanted "$(basename "$patch" .patch)" "$@"; then planned=$((planned + 1)); fi
done
verdicts=$(for lane in $(seq 0 $((lanes - 1))); do cat "$all/$lane/verdicts"; done)
caught=$(echo "$verdicts" | grep -c caught || true)
echo "$planned faults, $((planned - caught)) of them not caught"
[ "$caught" -eq "$planned" ] && [ "$planned" -gt 0 ]
