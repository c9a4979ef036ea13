# Shared by the scripts in this folder: sourced, never run.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# State of running clusters and the logs of quiet steps; ignored by git, removed by `make clean`.
RUN_DIR=${SAGE_RUN_DIR:-$ROOT/.run}
LOG_DIR=$RUN_DIR/log
PG_CONFIG_GIVEN=${PG_CONFIG:-}
PG_CONFIG=${PG_CONFIG:-pg_config}
# Cargo runs build scripts in folders of their own.
[[ $PG_CONFIG != */* ]] || PG_CONFIG=$(realpath --no-symlinks -- "$PG_CONFIG")
# rustup's directory is not in PATH of a fresh login shell under cron, CI or sudo.
[[ -d $HOME/.cargo/bin ]] && PATH=$HOME/.cargo/bin:$PATH
# `sudo make install` takes the compiler of who typed it: then nothing is compiled again.
if [[ $EUID -eq 0 && -n ${SUDO_USER:-} ]] && ! command -v cargo >/dev/null; then
    sudo_home=$(getent passwd "$SUDO_USER" | cut -d : -f 6)
    if [[ -x $sudo_home/.cargo/bin/cargo ]]; then
        export CARGO_HOME=${CARGO_HOME:-$sudo_home/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$sudo_home/.rustup}
        PATH=$sudo_home/.cargo/bin:$PATH
    fi
fi
mkdir -p "$LOG_DIR"
# Tells pgrx which server's headers to build for: no cargo-pgrx and no configuration in the home directory is needed.
export PGRX_PG_CONFIG_PATH=$PG_CONFIG
# A failed assertion says enough; its stack only hides it.
export RUST_BACKTRACE=0

# The first line, without ending the program before it early: that would be a failure (pipefail) at the whim of a buffer.
# In the same way what follows a pipe says `grep … >/dev/null`, never `grep -q`.
first_line() { sed -n 1p; }

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# quiet NAME COMMAND…: runs the command with its output in a log, which is shown only when it fails.
quiet() {
    local log=$LOG_DIR/$1.log
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        printf 'error: failed: %s\n' "$*" >&2
        printf -- '---- last lines of %s\n' "$log" >&2
        tail -n 60 "$log" >&2
        return 1
    fi
}

# Runs a command as root. Without a terminal sudo must not wait for a password.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# The server refuses to run as root: then everything that touches a cluster runs as `postgres`.
as_db() {
    if [[ $EUID -eq 0 ]]; then
        # From `/`, since the working directory may be unreadable for that user.
        (cd / && exec runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

# need PROGRAM…: says which of them are not there; fails if any is.
need() {
    local program missing=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [[ ${#missing[@]} == 0 ]] || { printf 'error: missing: %s\n' "${missing[*]}" >&2; return 1; }
}

# start_simulator FILE ARGUMENT…: starts the simulator in the background and prints where it listens. Its process id is
# in FILE.pid, what it says in FILE.log.
start_simulator() {
    local file=$1 url
    shift
    quiet build-simulator cargo build --package intacct-simulator
    # Made here and not by the shell in the background, which may be slower than the first look at it.
    : >"$file.log"
    nohup "$(target_dir)/debug/intacct-simulator" "$@" >>"$file.log" 2>&1 </dev/null &
    echo $! >"$file.pid"
    # Making the data takes a moment; then it says where it listens.
    for _ in {1..600}; do
        url=$(sed -n 's/^listening //p' "$file.log")
        if [[ -n $url ]]; then
            printf '%s' "$url"
            return
        fi
        kill -0 "$(<"$file.pid")" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$file.log" >&2
    die "the simulator did not start"
}

# stop_simulator FILE: stops what start_simulator has started, if it still runs.
stop_simulator() {
    local pid
    [[ -f $1.pid ]] || return 0
    pid=$(<"$1.pid")
    # The number may belong to another program by now.
    if [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == *intacct-simulator* ]]; then
        kill "$pid"
    fi
    rm -f -- "$1".{pid,log}
}

# counted WHAT LOG: adds up one number (passed, failed or ignored) of the summaries that Rust's test harness prints.
counted() { sed -nE "s/^test result: .* ([0-9]+) $1;.*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'; }

# examples_run LOG: how many examples of the documents a log of the SQL tests says to have run; nothing if none did.
examples_run() {
    sed -nE 's/^([^ ]+\.md): ([0-9]+) examples run, ([0-9]+) with their output; not run: ([0-9]+) .*/\2 \3 \4/p' "$1" |
        awk '{ run += $1; shown += $2; left += $3 }
             END { if (NR) printf "examples in %d documents: %d run, %d with their output compared; %d not run, with their reasons\n", NR, run, shown, left }'
}

# separate FILE DEBUG_FILE: moves the debug lines of a program into a file of their own, which debuggers find by its place.
separate() {
    objcopy --only-keep-debug --compress-debug-sections "$1" "$2"
    chmod 644 "$2"
    strip --strip-unneeded --remove-section=.comment "$1"
    objcopy --add-gnu-debuglink="$2" "$1"
}

# The version that the sources have.
project_version() { sed -nE '/^\[workspace.package\]/,/^\[/ s/^version = "(.*)"/\1/p' "$ROOT/Cargo.toml"; }

# rooted VERSION…: those of these versions of PostgreSQL for which a root can be made, a line each. No Debian has 16.
rooted() {
    local version
    for version in "$@"; do
        if "$ROOT/scripts/make-root" --reachable "$version" >/dev/null 2>&1; then
            printf '%s\n' "$version"
        else
            say "PostgreSQL $version is left out: no Debian has it, and Ubuntu's mirror does not answer" >&2
        fi
    done
}

pg_major() { "$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'; }
pg_bin() { printf '%s/%s' "$("$PG_CONFIG" --bindir)" "$1"; }

# The Cargo arguments that select the PostgreSQL version for the extension package.
pg_features() { printf -- '--no-default-features --features pg%s' "$(pg_major)"; }

target_dir() { printf '%s' "${CARGO_TARGET_DIR:-$ROOT/target}"; }
