disk=
for serial in /sys/block/*/serial /sys/block/*/device/serial /sys/block/*/device/vpd_pg80; do
  if grep -qw "$1" "$serial" 2> /dev/null; then
    disk=${serial#/sys/block/} disk=${disk%%/*}
  fi
done
[ -n "$disk" ] || { echo "no disk has the serial number $1" >&2; exit 1; }

# Where the root of a file system on the disk, or on one of its partitions, is mounted: for PID 1 or for this process.
place=
for process in 1 self; do
  for dev in "/sys/block/$disk/dev" "/sys/block/$disk"/*/dev; do
    [ -f "$dev" ] || continue
    found=$(awk -v dev="$(cat "$dev")" '$3 == dev && $4 == "/" { print $5; exit }' "/proc/$process/mountinfo")
    [ -z "$found" ] || place=/proc/$process/root$found
  done
done
[ -n "$place" ] || { echo "no file system of /dev/$disk is mounted" >&2; exit 1; }
[ "$place" = "${place#/proc/self/root}" ] || place=${place#/proc/self/root}

file=$place/.full
: > "$file" || exit 1
block=$(stat -f -c %S "$file")
part=$(($(stat -f -c %f "$file") * block))
size=0
while [ "$part" -ge "$block" ]; do
  if fallocate -o "$size" -l "$part" "$file" 2> /dev/null; then
    size=$((size + part))
  else
    part=$((part / 2 / block * block))
  fi
done
sync
if dd if=/dev/zero of="$file.probe" bs="$block" count=1 conv=fsync 2> /dev/null; then
  echo "$place still has free space" >&2
  rm -f "$file" "$file.probe"
  exit 1
fi
rm -f "$file.probe"
echo "$file"
