#!/bin/sh
# What the kernel, systemd and Redis say of a host, each in a line: name, then value. REDISCLI_AUTH is set.
pid=$(systemctl show --property=MainPID --value redis-server)
echo "somaxconn $(cat /proc/sys/net/core/somaxconn)"
echo "overcommit $(cat /proc/sys/vm/overcommit_memory)"
echo "pages $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled)"
echo "limit $(systemctl show --property=LimitNOFILE --value redis-server)"
echo "files $(awk '/^Max open files/ {print $5}' "/proc/$pid/limits")"
echo "queue $(ss -Hltn 'sport = :6379' | awk '{print $3}' | sort -n | head -n 1)"
echo "ours $(find /etc/sysctl.d /etc/tmpfiles.d /etc/systemd/system -name '*courtkeeper*' | sort | xargs)"
for name in maxclients maxmemory maxmemory-policy save slowlog-log-slower-than; do
    echo "$name $(redis-cli config get $name | tail -n 1)"
done
echo "file $(sha256sum </etc/redis/redis.conf)"
echo "kept $(grep -c -E '^(maxmemory 64mb|maxmemory-policy allkeys-lru|save "")$' /etc/redis/redis.conf)"
echo "pending $(find /var/lib/courtkeeper/redis_tuning -name '*.json' | wc -l)"
