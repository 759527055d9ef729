# What the scripts share: one line per step with its time, the log that is shown when a step fails,
# and what is asked of the machine. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/versions
. "$root/scripts/versions"

# Whatever `scripts/get` can get that mqbench starts, and what cargo builds besides what it always does.
# shellcheck disable=SC2034
servers=(nats redis mosquitto kafka rabbitmq pulsar)
# shellcheck disable=SC2034
features=(--features pulsar)

# All words go to standard error: standard output belongs to what was asked for.
say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '   %s\n' "$@" >&2
    exit 1
}

# Microseconds. The variable has the decimal sign of the locale, and six places after it.
now() { printf '%s' "${EPOCHREALTIME//[!0-9]/}"; }

# since MICROSECONDS: how long ago that was, for people.
since() {
    local tenths=$((($(now) - $1) / 100000))
    if [ "$tenths" -lt 600 ]; then
        printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
    else
        printf '%dm %02ds' $((tenths / 600)) $((tenths / 10 % 60))
    fi
}

# The folder of mqbench in the user's cache. As in src/servers/find.rs, a path that is not absolute
# is ignored.
cache_folder() {
    case ${XDG_CACHE_HOME:-} in
    /*) printf '%s/mqbench' "$XDG_CACHE_HOME" ;;
    *) printf '%s/.cache/mqbench' "${HOME:?HOME is not set}" ;;
    esac
}

# begin_log FILE: where the output of steps goes.
begin_log() {
    log=$1
    mkdir -p "$(dirname "$log")"
    : >"$log"
}

# step WORDS COMMAND…: runs it with its output in the log, prints one line with the time; where it
# fails, prints the end of what it said. With `loud` set the output is printed as it comes, too.
step() {
    local words=$1 start status=0 from
    shift
    start=$(now)
    printf '\n== %s: %s\n' "$words" "$*" >>"$log"
    from=$(($(wc -l <"$log") + 1))
    if [ -n "${loud:-}" ]; then
        say "== $words"
        "$@" </dev/null 2>&1 | tee -a "$log" >&2 || status=${PIPESTATUS[0]}
        if [ "$status" -eq 0 ]; then
            say "   $words: ok, $(since "$start")"
        else
            say "   $words: FAILED, $(since "$start")"
        fi
        return "$status"
    fi
    printf '  %-46s ' "$words" >&2
    "$@" </dev/null >>"$log" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then
        since "$start" >&2
        say
    else
        say "failed after $(since "$start")"
        tail -n "+$from" "$log" | tail -n 40 | sed 's/^/  │ /' >&2
        say "  the whole log: $log"
    fi
    return "$status"
}

# at_least VERSION WANTED
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 2 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# can_install PACKAGE…: dies with what to do where this machine or user cannot.
can_install() {
    have apt-get || die "this machine has no apt-get, and these are missing: $*" \
        "they are Debian's names; install what your system calls them, then run this again"
    [ "$(id -u)" -eq 0 ] && return
    have sudo || die "installing $* takes root, and there is no sudo" \
        "as root:  apt-get install $*" "then run this again"
    # Without a terminal nobody can type a password.
    [ -t 2 ] || sudo -n true 2>/dev/null || die "installing $* takes root, and sudo asks for a password" \
        "run      sudo apt-get install $*" "then run this again"
    # Ask before the output goes to a log.
    sudo -n true 2>/dev/null || sudo -v || die "installing $* takes root, and sudo refused"
}

# Not to be called as such: `step … apt_install PACKAGE…`.
apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2)
    # The lists may be missing or older than what the archive still holds.
    as_root "${apt[@]}" install --no-install-recommends "$@" && return
    as_root "${apt[@]}" -qq -o APT::Update::Error-Mode=any update && as_root "${apt[@]}" install --no-install-recommends "$@"
}

# For what comes from Maven Central.
need_maven() {
    have mvn && return
    can_install maven
    step "installing Debian's maven" apt_install maven || die "Debian's maven could not be installed"
    hash -r
}

# Puts cargo on the path if rustup left it in the usual place, and checks that it is new enough.
need_cargo() {
    local wanted version
    have cargo || PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    have cargo || die "Rust is missing: no cargo was found" \
        "install Rust $wanted or later, for example with rustup (https://rustup.rs), then run this again"
    version=$(cargo --version 2>&1) || die "cargo does not run: $version"
    version=${version#cargo }
    version=${version%%[ -]*}
    at_least "$version" "$wanted" || die "Rust $version is too old: mqbench needs $wanted or later" \
        "with rustup:  rustup update stable" "then run this again"
}

# The program on the path comes before the copy in the cache. Where that is another version than the
# pinned one, these scripts measure and test the pinned one, and say so.
prefer_pinned() {
    local ours
    ours="$(cache_folder)/nats/$nats_version"
    [ -z "${MQBENCH_NATS_HOME:-}" ] && [ -x "$ours/nats-server" ] && have nats-server || return 0
    [ "$(version_of nats-server)" != "$nats_version" ] || return 0
    export MQBENCH_NATS_HOME=$ours
    say "  MQBENCH_NATS_HOME=$ours, because the one on the path is $(version_of nats-server)"
}

# A port that nobody has at the moment.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    printf %s "$port"
}

# version_of PROGRAM: the first version number that `--version` prints.
version_of() {
    local words
    words=$("$1" --version </dev/null 2>/dev/null) || return 0
    [[ $words =~ ([0-9]+(\.[0-9]+)+) ]] && printf '%s' "${BASH_REMATCH[1]}"
}
