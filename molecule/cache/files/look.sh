#!/bin/sh
# What the kernel, systemd and Redis say of a host, each in a line: name, then value.
pid=$(systemctl show --property=MainPID --value redis-server)
echo "somaxconn $(cat /proc/sys/net/core/somaxconn)"
echo "overcommit $(cat /proc/sys/vm/overcommit_memory)"
echo "pages $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled)"
echo "limit $(systemctl show --property=LimitNOFILE --value redis-server)"
echo "files $(awk '/^Max open files/ {print $5}' "/proc/$pid/limits")"
echo "queue $(ss -Hltn 'sport = :6379' | awk '{print $3}' | sort -n | head -n 1)"
echo "clients $(REDISCLI_AUTH=$(awk '$1 == "requirepass" {print $2}' /etc/redis/redis.conf) redis-cli config get maxclients | tail -n 1)"
echo "ours $(find /etc/sysctl.d /etc/tmpfiles.d /etc/systemd/system -name '*courtkeeper*' | sort | xargs)"
