# A container without an engine: a root of its own in a mount namespace of its own, read-only, under another user. Run by
# container.ts as: unshare --mount sh container.sh <root> <uid:gid> <mounts file> <command> [arguments]. The mounts file has
# a line for each mount: source, a tab, target, a tab, ro or rw.
set -eu
root=$1 user=$2 mounts=$3
shift 3

mount -t tmpfs -o size=1m,mode=755 tmpfs "$root"
mkdir -p "$root/proc" "$root/dev" "$root/etc" "$root/tmp"
mount --rbind /proc "$root/proc"
bind() {
  # What is there already is covered, and must not be written to: it may be the machine's.
  if [ -d "$1" ]; then mkdir -p "$root$2"; elif ! [ -e "$root$2" ]; then mkdir -p "$root$(dirname "$2")"; : > "$root$2"; fi
  mount --bind -o "$3" "$1" "$root$2"
}
for one in null zero urandom; do bind "/dev/$one" "/dev/$one" rw; done
mkdir "$root/dev/shm"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/dev/shm"
for one in /usr/lib /usr/lib64 /etc/hosts /etc/resolv.conf "$(command -v setpriv)"; do
  if [ -e "$one" ]; then bind "$one" "$one" ro; fi
done
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
while IFS='	' read -r source target mode; do bind "$source" "$target" "$mode"; done < "$mounts"
mount -o remount,ro "$root"

# A change of the user clears the death signal: it is set behind it.
exec chroot --userspec="$user" --groups="${user#*:}" "$root" "$(command -v setpriv)" --pdeathsig KILL --no-new-privs --bounding-set=-all "$@"
