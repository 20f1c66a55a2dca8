#!/bin/sh
# Makes report.png: the report of a recorded run, with a failed trial open. Needs Chromium.
set -eu
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# FILE WIDTH,HEIGHT ADDRESS
shot() {
    chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars \
        --disable-background-networking --user-data-dir="$scratch/profile" --virtual-time-budget=2000 \
        --screenshot="$1" --window-size="$2" "$3" 2>/dev/null
}

cargo harness report --from "${1:-harness/cli/tests/fixtures/report/events.jsonl}" --output "$scratch/report.html"
# An address with a fragment scrolls: the page in one high window, then the part that is wanted of it.
shot "$scratch/page.png" 1100,6000 "file://$scratch/report.html#q35::fails-on-purpose"
cat >"$scratch/part.html" <<'HTML'
<body style="margin: 0; overflow: hidden"><img src="page.png" style="width: 800px; margin-top: -1180px"></body>
HTML
shot harness/doc/report.png 800,705 "file://$scratch/part.html"
