# The first process of a machine, in namespaces and a control group of its own. $1 is where its root directory is; the
# rest is what it becomes.

cd "$1"
shift
mount -n -t proc -o nosuid,nodev,noexec proc proc
# What the kernel has once, and not for each network, is not the machine's to change.
mount -n --bind proc/sys proc/sys
mount -n --bind proc/sys/net proc/sys/net
mount -n -o remount,bind,ro proc/sys
if [ -e proc/sysrq-trigger ]; then
    mount -n --bind proc/sysrq-trigger proc/sysrq-trigger
    mount -n -o remount,bind,ro proc/sysrq-trigger
fi
mount -n -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -n -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
pivot_root . mnt
umount -n -l mnt
# Else units would not see the credentials that are mounted for them.
mount -n --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
