#!/usr/bin/env bash
# Fetches the page's third-party files anew with npm; what it writes is committed, so that running needs no npm.
# After a change of a version here: run it, look at the page, commit.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$PWD/src/benito/services/web/static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package, file in it, name here
wanted='
cytoscape@3.34.4                          dist/cytoscape.esm.min.mjs               cytoscape.esm.min.mjs
@xterm/xterm@5.5.0                        lib/xterm.js                             xterm.js
@xterm/xterm@5.5.0                        css/xterm.css                            xterm.css
@xterm/addon-canvas@0.7.0                 lib/addon-canvas.js                      addon-canvas.js
@xterm/addon-fit@0.10.0                   lib/addon-fit.js                         addon-fit.js
@fontsource-variable/inter@5.3.0          files/inter-latin-wght-normal.woff2      inter.woff2
@fontsource-variable/jetbrains-mono@5.3.0 files/jetbrains-mono-latin-wght-normal.woff2 jetbrains-mono.woff2
'
lucide=lucide-static@1.62.0
icons='activity boxes cable check circle-alert circle-check circle-dot circle-help circle-x clock disc download file-text
file-up info list loader log-out maximize minus moon network pencil play plus power rotate-cw search server square
square-terminal sun-moon trash-2 triangle-alert user x'

unpack() { # package -> its folder under $work; packs it once
    local folder=$work/${1//\//_}
    if [ ! -d "$folder" ]; then
        mkdir "$folder"
        local archive
        archive=$(cd "$work" && npm pack --silent "$1")
        printf '%s  %s\n' "$1" "$(sha256sum "$work/$archive" | cut -d' ' -f1)" >>"$work/versions"
        tar -xzf "$work/$archive" -C "$folder" --strip-components=1
        { printf '%s\n\n' "== $1"; cat "$folder/LICENSE"; printf '\n'; } >>"$work/licences"
    fi
}

mkdir -p "$target"
while read -r package file name; do
    [ -n "$package" ] || continue
    unpack "$package"
    # Source maps stay behind, so nothing should ask for them.
    sed '/^\/\/# sourceMappingURL=/d' "$work/${package//\//_}/$file" >"$target/$name"
done <<<"$wanted"

unpack "$lucide"
{
    echo "<!-- $lucide, ISC licence: see vendor/LICENCES -->"
    echo '<svg xmlns="http://www.w3.org/2000/svg">'
    for icon in $icons; do
        printf '<symbol id="%s" viewBox="0 0 24 24">' "$icon"
        sed -n '/^>/,/^<\/svg>/{/^>/d;/^<\/svg>/d;p}' "$work/$lucide/icons/$icon.svg" | tr -d '\n' | tr -s ' '
        echo '</symbol>'
    done
    echo '</svg>'
} >"$target/../icons.svg"

sed 's/[[:space:]]*$//' "$work/licences" >"$target/LICENCES"
{ echo 'Packages and the SHA-256 of their archives, as npm packs them (tools/vendor-js.sh):'; cat "$work/versions"; } >"$target/VERSIONS"
