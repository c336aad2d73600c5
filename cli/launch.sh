#!/bin/sh
# What npm puts on the PATH: becomes the Bun that came with the package, with the command line.
here=$(dirname "$(readlink -f "$0")")
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) machine=linux-x64 ;;
  Linux-aarch64) machine=linux-aarch64 ;;
  Darwin-x86_64) machine=darwin-x64 ;;
  Darwin-arm64) machine=darwin-aarch64 ;;
  *) echo "branchtab: $(uname -sm) is not supported. It runs on Linux with glibc, on x64 and arm64." >&2; exit 1 ;;
esac
for modules in "$here/../node_modules" "$here/../.."; do
  [ -e "$modules/bun" ] || continue
  package=$(readlink -f "$modules/bun")
  # Bun's install script moves the program to the second place. Where npm was told to run no scripts, it is still in
  # the first, and a text of some hundred bytes is in the second.
  for bun in "$package/../@oven/bun-$machine/bin/bun" "$package/bin/bun.exe"; do
    [ -n "$(find "$bun" -size +1000k 2>/dev/null)" ] || continue
    # No file of the working directory configures it.
    exec "$bun" --no-env-file --config=/dev/null "$here/main.ts" "$@"
  done
done
echo "branchtab: Bun for $machine is not installed. It comes with the package bun as an optional dependency: install without --omit=optional, on a system with glibc." >&2
exit 1
