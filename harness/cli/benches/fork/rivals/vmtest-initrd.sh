#!/bin/sh
# vmtest-initrd.sh ROOT INITRD: makes an initrd that mounts a root by 9p, with the modules of the
# kernel in ROOT, by the busybox in there.
set -eu
root=$1 initrd=$2
busybox=$root/bin/busybox
modules=$(echo "$root"/lib/modules/*)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/dev" "$work/modules" "$work/proc" "$work/root"
cp "$busybox" "$work/bin/busybox"

# Of a line `FILE: WHAT IT NEEDS`, which is needed last first (modules.dep(5)); what is built in has none.
for name in virtio_pci virtio_console 9pnet_virtio 9p; do
    line=$(grep "/$name\.ko" "$modules/modules.dep" | grep "^[^:]*/$name\.ko" || true)
    reversed=
    for file in $(echo "$line" | tr -d :); do reversed="$file $reversed"; done
    for file in $reversed; do
        module=$(basename "$file" .xz)
        [ ! -e "$work/modules/$module" ] || continue
        case $file in
            *.xz) "$busybox" unxz -c "$modules/$file" > "$work/modules/$module" ;;
            *) cp "$modules/$file" "$work/modules/$module" ;;
        esac
        echo "$module" >> "$work/modules/order"
    done
done

cat > "$work/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
for word in $(/bin/busybox cat /proc/cmdline); do
    case $word in
        init=*) init=${word#init=} ;;
        rootflags=*) flags=${word#rootflags=} ;;
    esac
done
while read -r module; do /bin/busybox insmod "/modules/$module"; done < /modules/order
/bin/busybox mount -t 9p -o "$flags" /dev/root /root
/bin/busybox umount /proc
exec /bin/busybox switch_root /root "$init"
INIT
chmod +x "$work/init"
(cd "$work" && find . | "$busybox" cpio -o -H newc 2> /dev/null | "$busybox" gzip) > "$initrd"
