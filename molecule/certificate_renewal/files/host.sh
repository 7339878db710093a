#!/bin/bash
# What the scenario needs on a host: a CA (pebble) with a DNS of its own, nginx, and two other TLS services.
set -euo pipefail

mkdir -p /etc/pebble /etc/nginx/tls /etc/mail-tls /etc/stubborn /etc/watched /var/www/acme /var/www/wrong
for name in '' www. in.mail. stubborn.; do echo "127.0.0.1 ${name}ck.test"; done >>/etc/hosts

# Another certbot's settings, which are not ours: by these nothing would be issued.
mkdir /etc/letsencrypt && echo 'dry-run = true' >/etc/letsencrypt/cli.ini

self_signed() { # NAME CERTIFICATE KEY [OPTION...]
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -addext "subjectAltName=DNS:$1" \
        -addext 'keyUsage=critical,digitalSignature,keyCertSign' -out "$2" -keyout "$3" "${@:4}" 2>/dev/null
}
self_signed localhost /etc/pebble/server.pem /etc/pebble/server.key -days 100
self_signed www.ck.test /etc/nginx/tls/www.pem /etc/nginx/tls/www.key -days 100
self_signed in.mail.ck.test /etc/mail-tls/mail.pem /etc/mail-tls/key -days 100
cat /etc/mail-tls/key >>/etc/mail-tls/mail.pem
chown nobody:nogroup /etc/mail-tls/mail.pem
self_signed stubborn.ck.test /etc/stubborn/stubborn.pem /etc/stubborn/key -days 100
cat /etc/stubborn/key >>/etc/stubborn/stubborn.pem
rm /etc/mail-tls/key /etc/stubborn/key
self_signed good.ck.test /etc/watched/good.pem /etc/watched/good.key -days 100
# Two days long, and over: faketime would be a fake, x509 can date a certificate back only with a CA of its own.
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=expired.ck.test -keyout /etc/watched/expired.key \
    -out /tmp/expired.csr 2>/dev/null
mkdir /tmp/ca && touch /tmp/ca/index && echo 01 >/tmp/ca/serial
printf '%s\n' '[ca]' 'default_ca=d' '[d]' 'dir=/tmp/ca' 'database=/tmp/ca/index' 'serial=/tmp/ca/serial' 'new_certs_dir=/tmp/ca' \
    'default_md=sha256' 'policy=p' '[p]' 'commonName=supplied' >/tmp/ca/conf
openssl ca -batch -config /tmp/ca/conf -in /tmp/expired.csr -out /etc/watched/expired.pem -notext \
    -startdate 20240101000000Z -enddate 20240103000000Z -cert /etc/watched/good.pem -keyfile /etc/watched/good.key 2>/dev/null

for kind in "pebble 14000 15000 604800" "pebble-short 14002 15002 24"; do
    read -r unit port management validity <<<"$kind"
    cat >"/etc/pebble/$unit.json" <<JSON
{"pebble": {"listenAddress": "127.0.0.1:$port", "managementListenAddress": "127.0.0.1:$management",
 "certificate": "/etc/pebble/server.pem", "privateKey": "/etc/pebble/server.key", "httpPort": 80, "tlsPort": 443,
 "certificateValidityPeriod": $validity}}
JSON
    cat >"/etc/systemd/system/$unit.service" <<UNIT
[Service]
Environment=PEBBLE_VA_NOSLEEP=1 PEBBLE_AUTHZREUSE=0 PEBBLE_WFE_NONCEREJECT=0
ExecStart=/usr/bin/pebble -config /etc/pebble/$unit.json -dnsserver 127.0.0.1:8053
UNIT
done
cat >/etc/systemd/system/challtestsrv.service <<UNIT
[Service]
ExecStart=/usr/bin/pebble-challtestsrv -http01 "" -https01 "" -tlsalpn01 "" -doh "" -dns01 127.0.0.1:8053 \
 -management 127.0.0.1:8055 -defaultIPv4 127.0.0.1 -defaultIPv6 ""
UNIT
pebble-challtestsrv -h 2>&1 | grep -q -- '-doh' || sed -i 's/ -doh ""//' /etc/systemd/system/challtestsrv.service
for kind in "mail-tls 9444 /etc/mail-tls/mail.pem obeys" "stubborn 9443 /etc/stubborn/stubborn.pem ignores"; do
    read -r unit port pem obeys <<<"$kind"
    cat >"/etc/systemd/system/$unit.service" <<UNIT
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/tls_server.py $port $pem $obeys
ExecReload=/bin/kill -HUP \$MAINPID
UNIT
done
# Ends at a reload, as some services do that dislike their new certificate.
sed 's|9443|9445|; s|/stubborn/stubborn|/fragile/fragile|; s|-HUP|-TERM|' /etc/systemd/system/stubborn.service \
    >/etc/systemd/system/fragile.service
mkdir /etc/fragile && cp /etc/stubborn/stubborn.pem /etc/fragile/fragile.pem

cat >/etc/nginx/sites-enabled/default <<'NGINX'
server {
    listen 80 default_server;
    root /var/www/acme;
}
server {
    listen 443 ssl default_server;
    ssl_certificate /etc/nginx/tls/www.pem;
    ssl_certificate_key /etc/nginx/tls/www.key;
    location / { return 200 "served\n"; }
}
NGINX
systemctl daemon-reload
systemctl start challtestsrv pebble pebble-short mail-tls stubborn fragile
systemctl restart nginx
fetch='import ssl, urllib.request as u; print(u.urlopen("https://127.0.0.1:15000/roots/0", context=ssl._create_unverified_context()).read().decode())'
timeout 30 sh -c "until python3 -c '$fetch' >/etc/pebble/root.pem 2>/dev/null; do :; done"
