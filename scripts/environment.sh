# Sourced by the scripts beside it: sets up .venv on first use, then gives $root and $bin (where python and edgellm are).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

any_python() {
    local name
    for name in "$root/.venv/bin/python" "$root/.venv/Scripts/python.exe" \
        python3 python3.13 python3.12 python3.11 python3.14 python; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    echo "edgellm needs Python 3.11 or later, and none was found. Get one from https://www.python.org/downloads/" >&2
    return 1
}

first_python="$(any_python)"
"$first_python" "$root/scripts/setup.py"

bin="$root/.venv/bin"
[ -d "$bin" ] || bin="$root/.venv/Scripts"
