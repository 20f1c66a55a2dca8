#!/bin/sh
# What udhcpc calls when a lease changes (busybox, examples/udhcp/simple.script). resolv.conf is
# written in place: it is mounted into other containers, and a renamed file would not reach them.
# shellcheck disable=SC2154 # what the lease says is in the environment
case "$1" in
deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    ip addr replace "$ip/${mask:-24}" ${broadcast:+broadcast "$broadcast"} dev "$interface"
    for gateway in $router; do
        ip route replace default via "$gateway" dev "$interface"
        break
    done
    # What the configuration says about name servers stays.
    grep -qx '# from the configuration' /etc/resolv.conf || {
        domain=${SEARCH:-$domain}
        [ -z "$domain" ] || echo "search $domain"
        for server in $dns; do echo "nameserver $server"; done
    } > /etc/resolv.conf
    ;;
esac
