#!/usr/bin/env bash
# The main job on a real example: five nodes around a star, up, measured, and left running for you to look at.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/benito up examples/star.ns -p Demo -e star --packing 3
