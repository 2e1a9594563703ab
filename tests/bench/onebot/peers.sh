#!/usr/bin/env bash
# Installs the peers of the bench into a lab folder: peers.sh FOLDER, then run.py --lab FOLDER. Asks python3 for a venv
# and npm for Koishi; what cannot be had is left out and named at the end. May be run again on the same folder.
#
# Pinned are the bots and what decides their speed, so that two machines compare the same things.
set -euo pipefail
lab=${1:?usage: peers.sh FOLDER}
mkdir -p "$lab"
lab=$(cd "$lab" && pwd)
missing=()

# install FOLDER NAME PACKAGE…: a venv in FOLDER with these packages, or NAME is noted as left out.
install() {
    local venv="$lab/$1" name=$2
    shift 2
    if python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; then
        echo "$name: installed"
    else
        missing+=("$name (see the message of venv or pip above)")
    fi
}

install v "NoneBot2, aiocqhttp" \
    'nonebot2[fastapi]==2.5.0' nonebot-adapter-onebot==2.4.6 fastapi==0.165.0 uvicorn==0.54.0 uvloop==0.23.0 \
    httptools==0.9.0 websockets==17.4 pydantic==2.14.4 aiocqhttp==1.4.4 Quart==0.22.0 Hypercorn==0.18.0 wsproto==1.3.2

# A venv of its own: melobot asks for websockets below 15, and the others should not have to live with that.
install m melobot 'melobot[onebot]==3.5.1'

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    missing+=("Koishi (no node or no npm on the path)")
else
    mkdir -p "$lab/k"
    [ -f "$lab/k/package.json" ] || echo '{"name": "bench-peers", "private": true}' >"$lab/k/package.json"
    # --prefix, because npm would otherwise look for a package.json in the folders above.
    if npm install --prefix "$lab/k" --save-exact --no-audit --no-fund --no-update-notifier --loglevel=error \
        koishi@4.18.11 koishi-plugin-adapter-onebot@6.9.4 @koishijs/plugin-server@3.2.9 @koishijs/plugin-http@0.6.3; then
        echo "Koishi: installed"
    else
        missing+=("Koishi (see the message of npm above)")
    fi
fi

for name in ${missing[@]+"${missing[@]}"}; do
    echo "left out: $name" >&2
done
