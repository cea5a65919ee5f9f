#!/usr/bin/env bash
# The README's two commands on a machine that has nothing: a bare Debian 12 in a folder (debootstrap
# and chroot), with a clone of this repository's last commit. By hand and before a release, as root;
# about ten minutes. Usage: tests/fresh_machine.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "run as root: chroot needs it" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "apt-get install debootstrap first" >&2; exit 2; }

root=${1:-$(mktemp -d /var/tmp/evpool-fresh.XXXXXX)}
chmod 755 "$root" # as a root folder is, for the test that becomes another user
# The package mirror is the host's own.
# shellcheck disable=SC2016  # apt's own placeholders
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | grep -m1 '/debian/*$')

leave() {
  umount -q "$root/proc" "$root/dev/shm" || true
  rm -rf --one-file-system "$root"
}
trap leave EXIT

echo "==> Debian 12 from $mirror into $root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
git clone -q . "$root/root/evpool"

for command in './dev demo' './dev test'; do
  echo "==> $command"
  began=$SECONDS
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd /root/evpool && $command"
  echo "==> $command: $((SECONDS - began)) s"
done
