# Runs inside mmdebstrap, with the unpacked and configured Debian in $1: what the installer would
# ask and answer, then the disk that it is booted from. Leaves /disk, /vmlinuz, /initrd and /release.
set -e
export PATH="$PATH:/usr/sbin:/sbin"
echo debian > "$1/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' > "$1/etc/hosts"
echo '/dev/vda / ext4 errors=remount-ro 0 1' > "$1/etc/fstab"
printf '[Match]\nName=en*\n[Network]\nDHCP=ipv4\n' > "$1/etc/systemd/network/80-dhcp.network"
chroot "$1" systemctl --quiet enable systemd-networkd ssh docker
install -d -m 700 "$1/root/.ssh"
echo 'PUBLIC_KEY' > "$1/root/.ssh/authorized_keys"
rm -f "$1/vmlinuz" "$1/initrd.img"
# Seen without what is mounted inside it.
mkdir "$1.plain"
mount --bind "$1" "$1.plain"
mke2fs -q -F -t ext4 -d "$1.plain" "$1.ext4" 2G
umount "$1.plain"
rmdir "$1.plain"
mv "$1.ext4" "$1/disk"
cp "$1"/boot/vmlinuz-* "$1/vmlinuz"
cp "$1"/boot/initrd.img-* "$1/initrd"
ls "$1/usr/lib/modules" > "$1/release"
