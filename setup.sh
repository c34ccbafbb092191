#!/usr/bin/env bash
# Installs what Benito needs on a Debian-like host, quietly and only what is missing; safe to run again.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }

packages=(qemu-system-x86 qemu-utils mmdebstrap nftables iproute2 openssh-client tcl runc catatonit
          python3 python3-venv e2fsprogs zstd lz4 iputils-ping librsvg2-bin nfs-ganesha-vfs bindfs
          xorriso)
# Measuring needs more than running: ./setup.sh bench.
[ "${1:-}" != bench ] || packages+=(iperf3 mininet)
# The page's tests drive a real browser: ./setup.sh web. Where the distribution has none, they are skipped.
if [ "${1:-}" = web ]; then
    if apt-cache policy chromium 2>/dev/null | grep -q 'Candidate: [0-9]'; then packages+=(chromium)
    elif ! command -v chromium >/dev/null; then say "no chromium in this distribution: the page's tests will be skipped"; fi
fi
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { say "must be root to install: ${missing[*]}"; exit 1; }
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # Benito runs its own NFS servers: those of the distribution stay off where they aren't in use already.
    for unit in nfs-ganesha.service nfs-ganesha-lock.service rpcbind.service rpcbind.socket; do
        package=${unit%%.*}
        if [ -d /etc/systemd/system ] && ! dpkg-query -W "${package%-lock}" >/dev/null 2>&1; then
            ln -sn /dev/null "/etc/systemd/system/$unit" 2>/dev/null || true
        fi
    done
    log=$(mktemp)
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
        { cat "$log" >&2; say "apt could not install them (see above)"; exit 1; }
    rm -f "$log"
fi

# The environment is made anew when what it is made from has changed.
stamp=.venv/made-from
wanted=$(sha256sum pyproject.toml setup.sh)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "preparing the Python environment"
    [ -x .venv/bin/python ] || /usr/bin/python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
        "pip>=25.1"
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable . --group dev
    printf '%s\n' "$wanted" >"$stamp"
fi

# Programs start sooner when nothing is left to compile, also where Python may not write down what it has compiled.
.venv/bin/python -m compileall -q src

# The commands on the PATH, each unless its name is taken by something that isn't ours.
commands=$(sed -n '/^\[project.scripts\]/,/^$/ s/^"\{0,1\}\([A-Za-z_.]*\)"\{0,1\} *=.*/\1/p' pyproject.toml)
if [ "$(id -u)" = 0 ]; then
    for command in $commands; do
        link=/usr/local/bin/$command
        case $(readlink "$link" || { [ ! -e "$link" ] || echo taken; }) in
            '' | */.venv/bin/"$command") ln -sfn "$PWD/.venv/bin/$command" "$link" ;;
            *) say "$link is something else and stays: use $PWD/.venv/bin/$command" ;;
        esac
    done
fi
